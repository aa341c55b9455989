"""A stream whose reader stands still ends at its deadline all the same: its seat is another's, its upstream closed."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.serve import running
from gatewright.errors import DeadlineExceeded, GatewayError
from gatewright.layers.rate_limiter import RateLimitConfig
from gatewright.testing import ScriptedProvider

ONE = RateLimitConfig(max_concurrent=1)
LONG = ["x" * 30_000] * 2_000


def of(provider: ScriptedProvider) -> LiteLLMGateway:
    models: Any = [{"model_name": "m", "litellm_params": {"model": "scripted/m"}}]
    config = GatewayConfig(model_list=models, default_model="m", max_retries=0, rate_limit=ONE, close_timeout=0.2)
    return LiteLLMGateway(config, providers={"scripted": lambda _: provider})


async def until_free(gateway: LiteLLMGateway, provider: ScriptedProvider) -> None:
    while gateway.rate_limits()[0].in_flight or provider.open_streams:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("deduplicate", [True, False])
async def test_a_reader_in_python(deduplicate: bool) -> None:
    provider = ScriptedProvider([LONG, "another"])
    async with of(provider) as gateway:
        stream = gateway.generate_stream("hello", timeout=0.2, deduplicate=deduplicate)
        read = await anext(aiter(stream))
        assert gateway.rate_limits()[0].in_flight == 1
        await asyncio.wait_for(until_free(gateway, provider), 5)
        assert (await gateway.generate_async("other")).text == "another"
        with pytest.raises(GatewayError) as told:
            async for text in stream:
                read += text
    assert isinstance(told.value, DeadlineExceeded) or isinstance(told.value.__cause__, DeadlineExceeded)
    assert len(read) < 30_000 * 2_000


async def test_a_client_that_does_not_read_its_socket() -> None:
    provider = ScriptedProvider([LONG, "another"])
    gateway = of(provider)
    body = b'{"model":"m","stream":true,"timeout":0.3,"messages":[{"role":"user","content":"hello"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    async with running(gateway) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, (host, int(port)))
            await loop.sock_sendall(client, head + b"content-length: %d\r\n\r\n" % len(body) + body)
            while not provider.open_streams:
                await asyncio.sleep(0.01)
            await asyncio.wait_for(until_free(gateway, provider), 5)
            assert (await gateway.generate_async("other", timeout=5)).text == "another"


async def test_a_reader_whose_loop_fails_drops_the_stream_though_its_error_has_it() -> None:
    provider = ScriptedProvider([LONG, "another"])
    async with of(provider) as gateway:

        async def reader() -> None:
            stream = gateway.generate_stream("hello")
            async for _ in stream:
                raise ValueError("the reader's own")

        task = asyncio.create_task(reader())
        await asyncio.wait((task,))
        assert isinstance(task.exception(), ValueError)
        del task
        gc.collect()
        await asyncio.wait_for(until_free(gateway, provider), 5)
        assert (await gateway.generate_async("other", timeout=5)).text == "another"
