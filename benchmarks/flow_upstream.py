"""A provider that counts what it is asked: one vector for each text, one short answer for anything else.

Each answer takes `DELAY` seconds, as one over a network does, and whoever asks `/v1/asked` is told how many there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import urllib.request
from collections.abc import Generator
from typing import Any, cast

from benchmarks.processes import allow_many_files, start

__all__ = ["CountingUpstream", "counting_upstream"]

DELAY = 0.005
_USAGE = {"prompt_tokens": 38, "completion_tokens": 42, "total_tokens": 80}
_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "A short answer."}, "finish_reason": "stop"}
_CHAT = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [_CHOICE], "usage": _USAGE}


class CountingUpstream:
    """Where it is, and how much it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def asked(self) -> int:
        with urllib.request.urlopen(f"{self.url}/asked", timeout=10) as response:
            return int(json.load(response)["asked"])


@contextlib.contextmanager
def counting_upstream() -> Generator[CountingUpstream]:
    """Run it beside this process."""
    process = start(["-m", "benchmarks.flow_upstream"])
    assert process.stdin is not None and process.stdout is not None
    try:
        yield CountingUpstream(f"http://127.0.0.1:{int(process.stdout.readline())}/v1")
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


class _Connection(asyncio.Protocol):
    """Just enough of HTTP/1.1 for the gateway's client."""

    asked = 0

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n") + 4) >= 4:
            head = self._rest[:end].lower()
            _, found, rest = head.partition(b"\r\ncontent-length:")
            size = int(rest.split(b"\r\n", 1)[0]) if found else 0
            if len(self._rest) < end + size:
                return
            body, self._rest = self._rest[end : end + size], self._rest[end + size :]
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if path.endswith(b"/asked"):
            self._send({"asked": _Connection.asked})
            return
        _Connection.asked += 1
        answer = _vectors(json.loads(body)["input"]) if path.endswith(b"/embeddings") else _CHAT
        asyncio.get_running_loop().call_later(DELAY, self._send, answer)

    def _send(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def _vectors(texts: list[str]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": place, "embedding": [0.03125] * 64} for place in range(len(texts))]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": data, "model": "e", "usage": usage}


async def _serve() -> None:
    """Serve on a free port, which is printed, until the standard input ends."""
    allow_many_files()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
