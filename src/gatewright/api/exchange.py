"""One HTTP request and its answer, straight on ASGI: the path of every call."""

from __future__ import annotations

import time

from starlette.types import Receive, Scope, Send

from gatewright.api.errors import BodyTooLarge, error_headers, error_json
from gatewright.api.headers import EVENT_STREAM, JSON, Headers
from gatewright.errors import BadRequest, GatewayError
from gatewright.pipeline.call import new_id

__all__ = ["ClientGone", "Exchange"]


class ClientGone(Exception):
    """The client went away before its request was read."""


class Exchange:
    """Reads one request and writes its answer: a JSON body, or an event stream."""

    __slots__ = ("_began", "_receive", "_send", "_streaming", "path_params", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.path_params: dict[str, str] = scope.get("path_params", {})
        self._receive = receive
        self._send = send
        self._began = time.perf_counter()
        self._streaming = False

    def header(self, name: bytes) -> bytes | None:
        """Give a request header by its name in lower case."""
        for key, value in self.scope["headers"]:
            if key == name:
                return value
        return None

    def text_header(self, name: str) -> str | None:
        """Give a request header as text; `BadRequest` where it is not UTF-8."""
        value = self.header(name.encode())
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"{name}: expected UTF-8", param=name) from None

    async def body(self, limit: int) -> bytes:
        """Read the whole body; `BodyTooLarge` as soon as it is known to have more than `limit` bytes."""
        announced = self.header(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def until_gone(self) -> None:
        """Wait for the client to go away; the body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, body: bytes, headers: Headers, status: int = 200) -> None:
        """Answer with a whole JSON body."""
        length = (b"content-length", b"%d" % len(body))
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [JSON, length, *headers, self._took()]}
        )
        await self._send({"type": "http.response.body", "body": body})

    async def begin_stream(self, headers: Headers) -> None:
        """Answer with the head of an event stream."""
        self._streaming = True
        await self._send(
            {"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM, *headers, self._took()]}
        )

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Write events, waiting while the client is too far behind."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def fail(self, error: GatewayError) -> None:
        """Answer with an error: as the body, or as the last event of a stream that has begun."""
        if self._streaming:
            await self.write(b"data: " + error_json(error) + b"\n\n", last=True)
        else:
            await self.answer(error_json(error), error_headers(error, new_id()), error.status)

    def _took(self) -> tuple[bytes, bytes]:
        return (b"openai-processing-ms", b"%d" % ((time.perf_counter() - self._began) * 1000))


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the request's body is larger than the {limit} bytes that this server takes")
