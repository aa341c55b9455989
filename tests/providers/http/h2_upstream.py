"""A small HTTP/2 server: one good answer, or a stream, for every request."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

from providers.upstream import chunk, completion

__all__ = ["Http2Upstream"]


class Http2Upstream:
    """Counts connections and requests, and notes when a stream is reset by the other side."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._tasks: set[asyncio.Task[Any]] = set()
        self.connections = 0
        self.bodies: list[Any] = []
        self.reset = asyncio.Event()
        self.silent = False
        """Streams hang after their first chunk."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
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
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        self.connections += 1
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        bodies: dict[int, bytes] = {}
        try:
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    self._take(connection, event, bodies)
                writer.write(connection.data_to_send())
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    def _take(self, connection: h2.connection.H2Connection, event: Any, bodies: dict[int, bytes]) -> None:
        if isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.reset.set()
        elif isinstance(event, h2.events.StreamEnded):
            asked = json.loads(bodies.pop(event.stream_id))
            self.bodies.append(asked)
            self._answer(connection, event.stream_id, bool(asked.get("stream")))

    def _answer(self, connection: h2.connection.H2Connection, stream: int, streamed: bool) -> None:
        kind = "text/event-stream" if streamed else "application/json"
        connection.send_headers(stream, [(":status", "200"), ("content-type", kind)])
        if not streamed:
            connection.send_data(stream, json.dumps(completion()).encode(), end_stream=True)
            return
        connection.send_data(stream, b"data: %b\n\n" % json.dumps(chunk("hel")).encode())
        if not self.silent:
            rest = b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk("lo", finish="stop")).encode()
            connection.send_data(stream, rest, end_stream=True)
