"""A scripted provider on a real socket: it says exactly the bytes that a test wants, when the test wants them."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import ssl
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

__all__ = ["CLOSE", "HANG", "RESET", "Asked", "Upstream", "chunk", "completion", "head", "reply", "sse", "vectors"]

CLOSE = "close"
"""Close the connection here."""
RESET = "reset"
"""Break the connection here, without a goodbye."""
HANG = "hang"
"""Say nothing more until the other side goes away."""

Part = bytes | float | str
Script = list[Part]


class Asked(NamedTuple):
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: Any
    connection: int


def head(status: int = 200, **headers: str) -> bytes:
    """Give the head of an answer; underscores in a header's name stand for hyphens."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def reply(
    body: Any, status: int = 200, *, type_: str = "application/json", compress: bool = False, **headers: str
) -> Script:
    """Give a whole answer: JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if compress:
        data = gzip.compress(data)
        headers["content_encoding"] = "gzip"
    return [head(status, content_type=type_, content_length=str(len(data)), **headers) + data]


def completion(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Give the body of a good answer."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage, **more}


def chunk(text: str | None = None, *, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """Give the body of one event."""
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more}


def vectors(*of: list[float] | str, **more: Any) -> dict[str, Any]:
    """Give the body of an answer with embeddings."""
    return {"data": [{"index": place, "embedding": one} for place, one in enumerate(of)], **more}


def sse(*events: Any, end: bool = True, type_: str = "text/event-stream") -> Script:
    """Give a chunked stream: dicts are events, strings their data, bytes go as they are, numbers are pauses.

    `CLOSE`, `RESET` and `HANG` break it off; else `end` says whether the body is ended.
    """
    script: Script = [head(200, content_type=type_, transfer_encoding="chunked")]
    for event in events:
        if isinstance(event, float | int) or event in (CLOSE, RESET, HANG):
            script.append(event)
            continue
        data = event if isinstance(event, bytes) else b"data: %b\n\n" % _text(event)
        script.append(b"%x\r\n%b\r\n" % (len(data), data))
    if end:
        script.append(b"0\r\n\r\n")
    return script


def _text(event: Any) -> bytes:
    return event.encode() if isinstance(event, str) else json.dumps(event).encode()


class Upstream:
    """Answers each request with the next script, the last one again and again."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = list(scripts) or [reply(completion())]
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.url = ""
        self.asked: list[Asked] = []
        self.connections = 0
        self.came = asyncio.Event()
        """A request has come."""
        self.gone = asyncio.Event()
        """The other side went away before the answer was over."""

    def play(self, *scripts: Script) -> None:
        """Answer with these from now on."""
        self._scripts = list(scripts)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, limit=2**24)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._converse(reader, writer, self.connections)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            self.asked.append(await _request(reader, number))
            self.came.set()
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            saying = asyncio.ensure_future(_say(script, writer))
            watching = asyncio.ensure_future(reader.read(1))
            try:
                await asyncio.wait({saying, watching}, return_when=asyncio.FIRST_COMPLETED)
                if not saying.done():
                    self.gone.set()
                    return
                if not saying.result():
                    return
            finally:
                for one in (saying, watching):
                    one.cancel()
                await asyncio.gather(saying, watching, return_exceptions=True)


async def _say(script: Iterable[Part], writer: asyncio.StreamWriter) -> bool:
    """Say a script; False where it ends the connection."""
    for part in script:
        if isinstance(part, bytes):
            writer.write(part)
            await writer.drain()
        elif part == HANG:
            await asyncio.Event().wait()
        elif part == RESET:
            writer.transport.abort()
            return False
        elif part == CLOSE:
            with contextlib.suppress(OSError):
                await writer.drain()
            return False
        else:
            assert isinstance(part, float | int)
            await asyncio.sleep(part)
    return True


async def _request(reader: asyncio.StreamReader, number: int) -> Asked:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(lines[0].split(" ")[1], headers, json.loads(body) if body else None, number)
