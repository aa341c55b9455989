"""A local server that answers every request with the recorded response it was told to."""

from __future__ import annotations

import asyncio
import threading
from http import HTTPStatus
from typing import Self

from recorded.exchanges import Exchange

# What belongs to the recorded connection, not to the message; the server writes its own.
_DROPPED = frozenset(
    [
        "alt-svc",
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "set-cookie",
        "transfer-encoding",
        "upgrade",
    ]
)
# Streams come in pieces of a size that falls into the middle of events, and of characters.
_PIECES = 7


class Replay:
    """Serves `exchange`, whatever is asked, and keeps the requests it was sent: path, headers and body.

    It has a thread and a loop of its own, so that a client that blocks its loop is answered all the same.
    """

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**24)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def play(self, exchange: Exchange) -> None:
        """Answer with `exchange` from now on."""
        self.exchange = exchange
        self.requests.clear()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await _body(reader, headers)
        self.requests.append((head[0].split(" ")[1], headers, body))
        assert self.exchange is not None
        await _write(writer, self.exchange)
        return True


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def _write(writer: asyncio.StreamWriter, exchange: Exchange) -> None:
    status = exchange.status
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    given = {name.lower(): value for name, value in exchange.headers.items() if name.lower() not in _DROPPED}
    given.setdefault("content-type", _content_type(exchange))
    lines += [f"{name}: {value}" for name, value in given.items()]
    if not exchange.stream:
        lines.append(f"content-length: {len(exchange.body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + exchange.body)
        await writer.drain()
        return
    writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode("latin-1"))
    size = max(1, len(exchange.body) // _PIECES)
    for start in range(0, len(exchange.body), size):
        piece = exchange.body[start : start + size]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _content_type(exchange: Exchange) -> str:
    """Give the type that the recorder lost."""
    if exchange.format in ("converse", "invoke") and exchange.stream:
        return "application/vnd.amazon.eventstream"
    if exchange.format == "ollama" and exchange.stream:
        return "application/x-ndjson"
    return "text/event-stream" if exchange.stream and exchange.status == 200 else "application/json"
