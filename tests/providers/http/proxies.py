"""A small proxy: it tunnels CONNECT and forwards plain requests, always to one upstream, whatever name was asked."""

from __future__ import annotations

import asyncio
from typing import Self

__all__ = ["Proxy"]


class Proxy:
    """Keeps the request lines and the heads that came; `refusal` is answered instead of going on."""

    def __init__(self, port: int, refusal: bytes | None = None) -> None:
        self._port = port
        self._refusal = refusal
        self._tasks: set[asyncio.Task[object]] = set()
        self.lines: list[str] = []
        self.heads: list[str] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass_on(reader, writer)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n")[0].decode()
        self.lines.append(line)
        self.heads.append(head.decode().lower())
        if self._refusal is not None:
            writer.write(self._refusal)
            await writer.drain()
            return
        above, below = await asyncio.open_connection("127.0.0.1", self._port)
        if line.startswith("CONNECT"):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            below.write(head)
        try:
            await asyncio.gather(_pump(reader, below), _pump(above, writer))
        finally:
            below.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()
