"""A provider that is not the bottleneck: fixed answers over raw sockets, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Generator
from typing import Any, cast

from benchmarks.processes import allow_many_files, start

__all__ = ["CHUNKS", "ENDLESS", "MODEL", "upstream"]

MODEL = "gpt-4o-mini"
ENDLESS = "endless"
"""A model whose stream goes on until its reader leaves."""
CHUNKS = 200
DRIP_SECONDS = 0.05

_WHO: dict[str, Any] = {"id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "created": 1741570283, "model": MODEL}
_USAGE = {
    "prompt_tokens": 38,
    "completion_tokens": 42,
    "total_tokens": 80,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
_TEXT = "A gateway stands between a program and the models that it asks. It takes one call and finds who can answer it."


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _head(kind: str, length: int | None) -> bytes:
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return (
        f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{size}\r\ndate: Mon, 10 Mar 2025 01:31:23 GMT\r\n"
        "x-request-id: req_5f2a1c0e9b7d4e3f8a6b\r\nopenai-processing-ms: 412\r\nconnection: keep-alive\r\n\r\n"
    ).encode()


def _whole(body: bytes) -> bytes:
    return _head("application/json", len(body)) + body


def _event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _framed(_json({**_WHO, "object": "chat.completion.chunk", "choices": [choice], "usage": None}))


def _framed(data: bytes) -> bytes:
    """Make one event, as one chunk of the body: what a server writes that has each token from its model."""
    event = b"data: " + data + b"\n\n"
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


def _burst() -> bytes:
    words = [_event({"content": f" word{place}"}) for place in range(CHUNKS)]
    usage = _framed(_json({**_WHO, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}))
    first, last = _event({"role": "assistant", "content": ""}), _event({}, "stop")
    return b"".join([_head("text/event-stream", None), first, *words, last, usage, _framed(b"[DONE]"), b"0\r\n\r\n"])


_MESSAGE: dict[str, Any] = {"role": "assistant", "content": _TEXT, "refusal": None, "annotations": []}
_CHAT = _whole(
    _json(
        {
            **_WHO,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": _MESSAGE, "logprobs": None, "finish_reason": "stop"}],
            "usage": _USAGE,
            "system_fingerprint": "fp_06737a9306",
        }
    )
)
_STREAM = _burst()
_DRIP = _event({"content": " and on"})
_ENDLESS = _head("text/event-stream", None) + _DRIP * 5
_VECTORS = _whole(
    _json(
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.03125] * 384}],
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        }
    )
)


class _Connection(asyncio.Protocol):
    """Just enough of HTTP/1.1 for the clients that are measured."""

    open = 0

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        _Connection.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        _Connection.open -= 1

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head, after = self._rest[:end].lower(), end + 4
            if b"\r\ntransfer-encoding: chunked" in head:
                size = self._rest.find(b"0\r\n\r\n", after) + 5 - after
                if size < 5:
                    return
            else:
                size = _content_length(head)
            if len(self._rest) < after + size:
                return
            body, self._rest = self._rest[after : after + size], self._rest[after + size :]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if path == b"/stats":
            self._transport.write(_whole(_json({"open": _Connection.open - 1})))
        elif path.endswith(b"/embeddings"):
            self._transport.write(_VECTORS)
        elif b'"stream":true' not in body and b'"stream": true' not in body:
            self._transport.write(_CHAT)
        elif ENDLESS.encode() in body:
            self._transport.write(_ENDLESS)
            self._drip()
        else:
            self._transport.write(_STREAM)

    def _drip(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_DRIP)
            asyncio.get_running_loop().call_later(DRIP_SECONDS, self._drip)


def _content_length(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


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


@contextlib.contextmanager
def upstream() -> Generator[str]:
    """Run the provider beside this process and give its base URL."""
    process = start(["-m", "benchmarks.upstream"])
    assert process.stdin is not None and process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve())
    else:
        uvloop.run(_serve())
