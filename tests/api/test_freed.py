"""A request that was answered is freed when it was answered, and leaves nothing to Python's collector."""

import asyncio
import gc
import json
from itertools import count

import pytest

from gatewright import create_gateway
from gatewright.api.app import create_app

REQUESTS = 40
NUMBERS = count()


async def ask(app, **more):
    """Send one request without any client, which would leave something itself; gives the status."""
    message = {"role": "user", "content": f"prompt {next(NUMBERS)}"}
    body = json.dumps({"model": "simulator/m", "messages": [message], **more}).encode()
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def receive():
        if not incoming:
            await asyncio.sleep(3600)
        return incoming.pop()

    async def send(event):
        sent.append(event)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": headers}
    await app({**scope, "client": ("127.0.0.1", 1), "http_version": "1.1", "root_path": ""}, receive, send)
    return sent[0]["status"]


@pytest.mark.parametrize(
    ("status", "settings", "more"),
    [
        (200, {}, {}),
        (200, {}, {"stream": True}),
        (400, {}, {"messages": []}),
        (429, {"rate_limit": {"requests_per_minute": 1, "burst_size": 1, "enable_queuing": False}}, {}),
        (503, {"simulator": {"failure_rate": 1.0, "retry_after": 0.001}}, {"num_retries": 0}),
    ],
    ids=["whole", "stream", "wrong", "refused", "failed"],
)
async def test_a_request_leaves_nothing_to_the_collector(status, settings, more):
    settings = {"simulator": {"output_tokens": 5}, "circuit_breaker": {"enabled": False}, **settings}
    async with create_gateway(providers=["simulator"], record_operations=False, **settings) as gateway:
        app = create_app(gateway, allow_open=True)
        for _ in range(5):
            last = await asyncio.create_task(ask(app, **more))
        assert last == status
        await asyncio.sleep(0.02)
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                await asyncio.create_task(ask(app, **more))
            await asyncio.sleep(0.02)
            assert gc.collect() / REQUESTS < 1
        finally:
            gc.enable()
