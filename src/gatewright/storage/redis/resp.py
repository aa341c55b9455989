"""The Redis serialisation protocol, version 2, as far as scripts and logging in need it.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["ErrorReply", "ReplyParser", "bulks", "encode"]

SIMPLE, ERROR, INTEGER, BULK, ARRAY = b"+-:$*"


class ErrorReply(msgspec.Struct, frozen=True):
    """An error that the server answered; its `code` is the first word, such as `NOSCRIPT`."""

    code: str
    text: str


def encode(*words: bytes) -> bytes:
    """Write a command."""
    return b"*%d\r\n" % len(words) + bulks(words)


def bulks(words: Sequence[bytes]) -> bytes:
    """Write words of a command."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class ReplyParser:
    """Finds replies in what arrives, however it is cut. One is bytes, int, list, None or `ErrorReply`."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Sequence[Any]:
        """Give the replies that are complete now; `ValueError` where this is not the protocol."""
        data = self._rest + data
        replies: list[Any] = []
        at = 0
        while at < len(data) and (found := _read(data, at)) is not None:
            replies.append(found[0])
            at = found[1]
        self._rest = data[at:]
        return replies


def _read(data: bytes, at: int) -> tuple[Any, int] | None:
    """Give the reply that begins at `at` and where it ends; None where it is not all there."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, body = data[at], data[at + 1 : end]
    if kind == BULK:
        return _bulk(data, int(body), end + 2)
    if kind == ARRAY:
        return _array(data, int(body), end + 2)
    if kind == INTEGER:
        return int(body), end + 2
    if kind == SIMPLE:
        return body, end + 2
    if kind == ERROR:
        text = body.decode("utf-8", "replace")
        return ErrorReply(text.partition(" ")[0], text), end + 2
    raise ValueError("this is not a Redis reply")


def _bulk(data: bytes, length: int, at: int) -> tuple[Any, int] | None:
    if length < 0:
        return None, at
    end = at + length
    return (data[at:end], end + 2) if len(data) >= end + 2 else None


def _array(data: bytes, length: int, at: int) -> tuple[Any, int] | None:
    if length < 0:
        return None, at
    items: list[Any] = []
    for _ in range(length):
        found = _read(data, at)
        if found is None:
            return None
        items.append(found[0])
        at = found[1]
    return items, at
