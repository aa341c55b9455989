"""A call: what is asked, for whom, until when."""

from __future__ import annotations

import os
from binascii import hexlify
from typing import Any

import msgspec

from gatewright.types.caller import ANONYMOUS, Caller
from gatewright.types.requests import EmbedRequest, GenerateRequest, Request

__all__ = ["Call", "CallOptions", "new_id"]


def new_id() -> str:
    """Give a new request id: `req_` and 24 random hexadecimal digits."""
    return "req_" + hexlify(os.urandom(12)).decode()


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one call wants otherwise than the configuration has it; None is "as configured"."""

    max_retries: int | None = None
    fallbacks: tuple[str, ...] | None = None
    drop_params: bool | None = None
    continue_streams: bool | None = None
    deduplicate: bool | None = None


AS_CONFIGURED = CallOptions()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen; layers derive a new one by `replace`. `started_at` and `deadline` are monotonic seconds."""

    request: Request
    id: str
    started_at: float
    caller: Caller = ANONYMOUS
    deadline: float | None = None
    stream: bool = False
    options: CallOptions = AS_CONFIGURED

    def replace(self, **changes: Any) -> Call:
        """Give this call with some fields changed."""
        return msgspec.structs.replace(self, **changes)

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
