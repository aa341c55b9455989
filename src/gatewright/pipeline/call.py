"""A call: what is asked, for whom, until when."""

from __future__ import annotations

import os
from binascii import hexlify
from time import time
from typing import Any

import msgspec

from gatewright.types.caller import ANONYMOUS, Caller
from gatewright.types.requests import EmbedRequest, GenerateRequest, Request

__all__ = ["AS_CONFIGURED", "CacheWishes", "Call", "CallOptions", "new_id"]


def new_id() -> str:
    """Give a new request id: `req_`, the second since 1970 in 8 hexadecimal digits, and 16 random ones.

    Ids that grow with time keep the records of one time together, where each is found by its id.
    """
    global _second, _beginning
    now = int(time())
    if now != _second:
        # In this order: another thread that finds the second finds its beginning, too.
        _beginning = f"req_{now:08x}"
        _second = now
    while True:
        try:
            return _beginning + _random_digits.pop()
        except IndexError:
            _draw()


_second = 0
_beginning = ""
# Random hexadecimal digits, 16 for each id, drawn from the system for many ids at once: a system call for each would
# cost more than the rest of the id, and give the interpreter away to other threads.
_random_digits: list[str] = []


def _draw() -> None:
    drawn = hexlify(os.urandom(8 * 256)).decode()
    _random_digits.extend([drawn[start : start + 16] for start in range(0, len(drawn), 16)])


if hasattr(os, "register_at_fork"):
    # A forked child draws its own: the parent gives these.
    os.register_at_fork(after_in_child=_random_digits.clear)


class CacheWishes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one call wants of the response cache: `no_cache` reads nothing, `no_store` keeps nothing.

    `namespace` keeps its answers apart, `ttl` is seconds, `max_age` the seconds that an answer may be old at most.
    """

    no_cache: bool = False
    no_store: bool = False
    namespace: str = ""
    ttl: float | None = None
    max_age: float | None = None


class CallOptions(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one call wants otherwise than the configuration has it; None is "as configured"."""

    max_retries: int | None = None
    fallbacks: tuple[str, ...] | None = None
    drop_params: bool | None = None
    continue_streams: bool | None = None
    deduplicate: bool | None = None
    cache: CacheWishes | None = None
    joined: bool = False  # several callers' requests are one: what is wrong with one of them is not the others' fault


AS_CONFIGURED = CallOptions()
"""Nothing otherwise."""


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Frozen; layers derive a new one by `replace`. `started_at` and `deadline` are monotonic seconds.

    `fingerprint` says what is asked, where a layer has worked that out already: whoever needs it has no need to again.
    """

    request: Request
    id: str
    started_at: float
    caller: Caller = ANONYMOUS
    deadline: float | None = None
    stream: bool = False
    options: CallOptions = AS_CONFIGURED
    fingerprint: bytes | None = None

    def replace(self, **changes: Any) -> Call:
        """Give this call with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def time_left(self, now: float) -> float | None:
        """Give the seconds to its deadline; None where it has none."""
        return None if self.deadline is None else self.deadline - now

    @property
    def generation(self) -> GenerateRequest:
        """The request, where it asks for text."""
        assert isinstance(self.request, GenerateRequest)
        return self.request

    @property
    def embedding(self) -> EmbedRequest:
        """The request, where it asks for embeddings."""
        assert isinstance(self.request, EmbedRequest)
        return self.request
