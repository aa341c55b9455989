"""A Lua script that the server runs as one step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from gatewright.storage.redis.resp import bulks, encode

__all__ = ["Script"]


class Script:
    """Known to the server by its hash once it is loaded; every key that it touches is given to it by name."""

    __slots__ = ("_by_hash", "source")

    def __init__(self, source: str) -> None:
        self.source = source.encode()
        # The protocol names scripts by SHA-1; it protects nothing.
        sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()
        self._by_hash = bulks((b"EVALSHA", sha))

    def load(self) -> bytes:
        """Give the command that makes the server know it."""
        return encode(b"SCRIPT", b"LOAD", self.source)

    def call(self, keys: Sequence[bytes], args: Sequence[bytes]) -> bytes:
        """Give the command that runs it by its hash."""
        count = len(keys)
        return b"*%d\r\n%b%b" % (3 + count + len(args), self._by_hash, bulks((b"%d" % count, *keys, *args)))

    def call_in_full(self, keys: Sequence[bytes], args: Sequence[bytes]) -> bytes:
        """Give the command that runs it where the server does not know it."""
        return encode(b"EVAL", self.source, b"%d" % len(keys), *keys, *args)
