"""Clients that go away, and cancellations that come from elsewhere."""

import asyncio
from typing import Any

import pytest

from gatewright.api.endpoint import Endpoint
from gatewright.api.exchange import ClientGone, Exchange
from gatewright.api.watch import Watch
from gatewright.errors import RateLimited


class Client:
    """An ASGI client whose requests and departure the test decides."""

    def __init__(self, *parts: dict[str, Any]) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        for part in parts:
            self.messages.put_nowait(part)

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})

    def exchange(self) -> Exchange:
        return Exchange({"type": "http", "headers": []}, self.messages.get, self.send)

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


async def test_what_runs_inside_is_cancelled() -> None:
    client, cancelled = Client({"type": "http.request", "body": b""}), False
    asyncio.get_running_loop().call_soon(client.leave)
    async with Watch(client.exchange()):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise
    assert cancelled
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing of it is left to come


async def test_a_cancellation_from_elsewhere_goes_on() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), Watch(Client().exchange()):
            await asyncio.Event().wait()


async def test_an_error_is_told_while_there_is_someone_to_tell() -> None:
    with pytest.raises(RateLimited):
        async with Watch(Client().exchange()):
            raise RateLimited("later")


async def test_an_error_of_the_code_itself_is_never_hidden() -> None:
    client = Client()
    asyncio.get_running_loop().call_soon(client.leave)
    with pytest.raises(KeyError):
        async with Watch(client.exchange()):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise KeyError("a bug") from None


async def test_the_watcher_ends_with_what_it_watched() -> None:
    before = asyncio.all_tasks()
    async with Watch(Client().exchange()):
        assert len(asyncio.all_tasks()) == len(before) + 1
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_client_that_leaves_while_it_sends_gets_nothing() -> None:
    client = Client({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"})
    with pytest.raises(ClientGone):
        await client.exchange().body(100)
    client.leave()

    async def answer(exchange: Exchange) -> None:
        await exchange.body(100)

    await Endpoint(answer)({"type": "http", "headers": []}, client.messages.get, client.send)
    assert client.sent == []


async def test_a_body_in_parts_is_put_together() -> None:
    parts = [{"type": "http.request", "body": part, "more_body": part != b"c"} for part in (b"a", b"b", b"c")]
    assert await Client(*parts).exchange().body(3) == b"abc"


async def test_what_fails_unforeseen_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(_: Exchange) -> None:
        raise KeyError("a secret detail")

    client = Client()
    scope = {"type": "http", "headers": [], "method": "GET", "path": "/x"}
    await Endpoint(answer)(scope, client.messages.get, client.send)
    assert client.sent[0]["status"] == 500
    assert b"secret" not in client.sent[1]["body"]
    assert "a secret detail" in caplog.text
