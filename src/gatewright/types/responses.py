"""What the gateway's caller is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from gatewright.types.results import Choice, ToolCall, lazy_json
from gatewright.types.usage import NO_USAGE, Usage

__all__ = ["CacheStatus", "EmbedResponse", "GenerateResponse"]

CacheStatus = Literal["hit", "stale", "miss", "bypass"]
"""What the response cache had: the answer, one past its time, nothing, or it was not asked."""


class GenerateResponse(msgspec.Struct, kw_only=True):
    """A whole answer.

    `text`, `finish_reason`, `tool_calls`, `reasoning` and `refusal` are the first choice's; with `n` above 1 all are
    in `choices`. `cost_usd` is None where the model's price is not known. `latency_ms` is from the call's entry to
    its answer, queueing and retries included; `attempts` counts the requests made to providers for it. `warnings` are
    what guardrails found in the request or the answer and let through, redacted or not.
    `cached` is an answer that was there or that somebody else's call brought; `cache_status` is what the response
    cache had (None without one), `cache_age` the seconds since it was kept there.
    """

    model: str
    provider: str
    choices: Sequence[Choice]
    request_id: str
    usage: Usage = NO_USAGE
    cost_usd: float | None = None
    latency_ms: float = 0.0
    cached: bool = False
    cache_status: CacheStatus | None = None
    cache_age: float | None = None
    attempts: int = 1
    parsed: Any = None
    deployment_id: str = ""
    id: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    warnings: list[str] = []
    raw: Any = None

    @property
    def text(self) -> str:
        """The answer's text; empty where the model only calls tools."""
        return self.choices[0].text

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped: `stop`, `length`, `tool_calls` or `content_filter`."""
        return self.choices[0].finish_reason

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the model asks to have called."""
        return self.choices[0].tool_calls

    @property
    def reasoning(self) -> str | None:
        """What the model thought aloud, where its provider gives that."""
        return self.choices[0].reasoning

    @property
    def refusal(self) -> str | None:
        """Why the model refused, where it did."""
        return self.choices[0].refusal

    @property
    def raw_response(self) -> Any:
        """The provider's answer, decoded; None for a stream."""
        return lazy_json(self.raw)

    def __str__(self) -> str:
        return self.text


class EmbedResponse(msgspec.Struct, kw_only=True):
    """Vectors of unit length, one for each text, in the texts' order."""

    embeddings: Sequence[Sequence[float]]
    model: str
    provider: str
    request_id: str
    usage: Usage = NO_USAGE
    cost_usd: float | None = None
    latency_ms: float = 0.0
    cached: bool = False
    cache_status: CacheStatus | None = None
    cache_age: float | None = None
    attempts: int = 1
    deployment_id: str = ""
    warnings: list[str] = []

    @property
    def dimensions(self) -> int:
        """The length of each vector; 0 where there are none."""
        return len(self.embeddings[0]) if self.embeddings else 0
