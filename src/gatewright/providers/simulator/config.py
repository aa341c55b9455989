"""How a simulated provider behaves."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gatewright.errors import ConfigurationError
from gatewright.types.deployment import Deployment

__all__ = ["ErrorKind", "Lognormal", "SimulatorConfig"]

ErrorKind = Literal[
    "authentication",
    "bad_request",
    "connection_failed",
    "content_policy_violation",
    "context_window_exceeded",
    "invalid_provider_response",
    "not_found",
    "permission_denied",
    "provider_timeout",
    "provider_unavailable",
    "rate_limited",
]

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Lognormal(BaseModel):
    """Seconds that scatter as real latencies do; `sigma` is the standard deviation of their logarithm."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    sigma: Annotated[float, Field(ge=0, le=5)] = 0.5


class SimulatorConfig(BaseModel):
    """The settings of a deployment whose provider is `simulator`.

    `latency` is seconds to the first token; `tokens_per_second` is the pace of streams, None or 0 being all at once.
    The answer is `text`, or the next of `responses` in turn, or `output_tokens` words made from the prompt.
    A call fails with the probability `failure_rate`, and so do the first `fail_first` calls, with one of `errors`
    by their weights; a stream breaks after its first chunk with the probability `stream_failure_rate`.
    The same `seed` gives the same sequence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency: Seconds | Lognormal = 0.0
    tokens_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    output_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 32
    text: str | None = None
    responses: tuple[str, ...] = ()
    failure_rate: Rate = 0.0
    errors: dict[ErrorKind, Weight] = Field(default_factory=lambda: {"provider_unavailable": 1.0})
    retry_after: Seconds | None = 1.0
    stream_failure_rate: Rate = 0.0
    fail_first: Annotated[int, Field(ge=0)] = 0
    seed: int | None = None
    dimensions: Annotated[int, Field(ge=1, le=65_536)] = 64

    @field_validator("errors")
    @classmethod
    def _some_weight(cls, errors: dict[ErrorKind, float]) -> dict[ErrorKind, float]:
        if not any(errors.values()):
            raise ValueError("at least one kind of error needs a weight above zero")
        return errors

    @classmethod
    def of(cls, deployment: Deployment) -> Self:
        """Read a deployment's settings; what is wrong raises `ConfigurationError` that names the setting."""
        try:
            return cls.model_validate(deployment.settings)
        except ValidationError as error:
            raise _named(deployment, error) from None


def _named(deployment: Deployment, error: ValidationError) -> ConfigurationError:
    fault = error.errors(include_url=False, include_context=False)[0]
    setting = str(fault["loc"][0]) if fault["loc"] else "settings"
    expected = "no such setting" if fault["type"] == "extra_forbidden" else fault["msg"]
    return ConfigurationError(
        f"model_list[{deployment.id}].{setting}: {expected} (simulator settings: "
        f"{', '.join(sorted(SimulatorConfig.model_fields))})",
        provider=deployment.provider,
        model=deployment.model,
        param=setting,
    )
