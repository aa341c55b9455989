"""The record of one operation, as it travels from the gateway through the journal to the store."""

from __future__ import annotations

import msgspec

__all__ = ["AttemptRecord", "GuardVerdict", "LateAttempt", "OperationRecord", "decode_record", "encode_record"]


class AttemptRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One attempt at one deployment; times are microseconds, `began` after the operation's own beginning."""

    deployment: str
    provider: str
    began: int
    lasted: int
    error: str | None = None


class GuardVerdict(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a guard found and where, and what was done about it; `sent` is how much of a stream had gone out."""

    guardrail: str
    rule: str
    severity: str
    action: str
    side: str
    place: str = ""
    sent: int | None = None  # characters


class OperationRecord(msgspec.Struct, array_like=True, tag_field="kind", tag=1, gc=False):
    """One call; `attempts` are those of a call that made more than one.

    `id` is 12 bytes, `started_at` milliseconds since 1970, durations are microseconds.

    Money is in 10⁻¹² US dollars; `cost` is None where the price is not known. `model` is the deployment's own name
    for it, `answered_model` the answer's. Written as a list: a field is added at the end, and none is ever removed.
    """

    id: bytes
    started_at: int
    type: int
    status: int
    model: str | None = None
    provider: str | None = None
    tenant: str | None = None
    agent: str | None = None
    user: str | None = None
    session: str | None = None
    key: str | None = None
    tags: tuple[str, ...] = ()
    requested_model: str | None = None
    answered_model: str | None = None
    deployment: str | None = None
    lane: str | None = None
    streamed: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cost: int | None = None
    price_source: str | None = None
    latency: int = 0
    first_token: int | None = None
    queued: int = 0
    overhead: int = 0
    retries: int = 0
    fallbacks: int = 0
    cache: str | None = None
    saved: int = 0
    error: str | None = None
    guards: tuple[GuardVerdict, ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    request: str | None = None
    answer: str | None = None


class LateAttempt(msgspec.Struct, array_like=True, tag_field="kind", tag=2, frozen=True):
    """An attempt that ended after its operation had: its caller went away, and others waited for the answer."""

    operation: bytes
    number: int
    attempt: AttemptRecord


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(OperationRecord | LateAttempt)
encode_record = _encoder.encode
decode_record = _decoder.decode
