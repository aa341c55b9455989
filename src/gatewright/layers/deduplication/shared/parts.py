"""What is told through Redis of a flight: MessagePack, one part for each thing that came."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright import errors
from gatewright.errors import CallCancelled, DeadlineExceeded, GatewayClosed, GatewayError, ProviderUnavailable
from gatewright.layers.cache.answers import answer_data, answer_of, kept_answer
from gatewright.types.results import Answer, Chunk, Embeddings

__all__ = ["GONE", "Came", "Failed", "Gone", "Landed", "Part", "Whole", "decoded", "encoded", "failure", "whole_part"]


class Came(msgspec.Struct, frozen=True, tag="c"):
    """Some chunks of a stream."""

    chunks: list[Chunk]


class Landed(msgspec.Struct, frozen=True, tag="l"):
    """The end of a stream, and who answered."""

    model: str
    provider: str
    deployment_id: str


class Whole(msgspec.Struct, frozen=True, tag="w"):
    """A whole answer, or vectors."""

    answer: bytes = b""
    vectors: Embeddings | None = None

    def value(self) -> Answer | Embeddings | None:
        """Give it as those who share it get it, at no cost; None where it cannot be read."""
        if self.vectors is not None:
            return msgspec.structs.replace(self.vectors, cost_usd=0.0)
        kept = kept_answer(self.answer)
        return None if kept is None else answer_of(kept)


class Failed(msgspec.Struct, frozen=True, tag="f"):
    """The error that everyone aboard gets; `time_left` is the seconds to the leader's deadline, if it had one."""

    code: str
    message: str
    provider: str | None
    model: str | None
    param: str | None
    retry_after: float | None
    retryable: bool
    upstream_status: int | None
    upstream_code: str | None
    asked: bool
    attempts: int = 0
    time_left: float | None = None

    def error(self, call_id: str) -> GatewayError:
        """Give the error, for one caller."""
        cls = _classes().get(self.code, ProviderUnavailable)
        error = cls.__new__(cls)
        GatewayError.__init__(
            error,
            self.message,
            provider=self.provider,
            model=self.model,
            request_id=call_id,
            retry_after=self.retry_after,
            param=self.param,
            retryable=self.retryable,
            upstream_status=self.upstream_status,
            upstream_code=self.upstream_code,
        )
        error.asked, error.attempts = self.asked, self.attempts
        return error


class Gone(msgspec.Struct, frozen=True, tag="g"):
    """The leader went away, or had less time than others may have: whoever wants the answer asks anew."""


Part = Came | Landed | Whole | Failed | Gone

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Part).decode
# What only the leader's own time or process ended; and errors with more to them than what is told here.
_OWN = (CallCancelled, DeadlineExceeded, GatewayClosed)
_WITH_MORE = frozenset({"validation_failed", "input_rejected", "stream_interrupted", "missing_extra"})


def encoded(part: Part) -> bytes | None:
    """Write a part; None where there is something in it that cannot be written."""
    try:
        return _encode(part)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None


GONE = encoded(Gone()) or b""
"""That, written."""


def decoded(data: bytes) -> Part:
    """Read a part; what another version wrote is a leader that went away."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError):
        return Gone()


def whole_part(value: Any) -> Part:
    """Give a whole answer as a part."""
    if isinstance(value, Embeddings):
        return Whole(vectors=msgspec.structs.replace(value, vectors=[list(vector) for vector in value.vectors]))
    data = answer_data(value, 0.0) if isinstance(value, Answer) else None
    return Gone() if data is None else Whole(answer=data)


def failure(error: BaseException, time_left: float | None) -> Part:
    """Give an error as a part, as of now; what is the leader's own affair is its going away."""
    if not isinstance(error, GatewayError) or isinstance(error, _OWN) or error.code in _WITH_MORE:
        return Gone()
    return Failed(
        code=error.code,
        message=error.message,
        provider=error.provider,
        model=error.model,
        param=error.param,
        retry_after=error.retry_after,
        retryable=error.retryable,
        upstream_status=error.upstream_status,
        upstream_code=error.upstream_code,
        asked=error.asked,
        attempts=error.attempts,
        time_left=time_left,
    )


def _classes() -> dict[str, type[GatewayError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, GatewayError)]
    return {one.code: one for one in found}
