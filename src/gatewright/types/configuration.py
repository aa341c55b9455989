"""The base of every `XConfig`: frozen, strict about names, and with errors that say what to do."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeGuard, cast, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, ValidationInfo, field_validator

from gatewright.errors import ConfigurationError
from gatewright.redaction import redact

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["SECRET_WORDS", "Config", "explain", "faults_of", "is_secret", "mapping", "nearest", "written_path"]

SECRET_WORDS = ("key", "secret", "token", "password", "credential", "authorization")
MAX_SHOWN = 80


class Config(BaseModel):
    """A frozen part of the configuration; a wrong value is a `ConfigurationError` that names it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(explain(error, type(self), values)) from None

    # As BaseModel's own: pydantic makes the inner parts without it, so a fault is told once, by its whole path.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `rpm: on`, which is YAML for true, and would be one a minute."""
        if isinstance(value, bool) and _is_number(cls.model_fields[info.field_name or ""].annotation):
            raise ValueError("a number")
        return value

    @classmethod
    def read(cls, values: Mapping[str, Any], source: str, origins: Mapping[str, str] | None = None) -> Self:
        """Make one of `values` that came from `source` (a file, the environment), which an error then names.

        `origins` says where a setting (by its dotted path) was written, where that is not under its own name.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            told = explain(error, cls, values, origins)
            raise ConfigurationError(f"{source}: {told}" if source else told) from None


def _is_number(annotation: Any) -> bool:
    kinds = get_args(annotation) or (annotation,)
    return bool not in kinds and (int in kinds or float in kinds)


def is_secret(name: str) -> bool:
    """Say whether a setting of this name is a secret: `api_key` is, `max_tokens` is not."""
    lowered = name.lower()
    if lowered.endswith(("_tokens", "_token_count", "_per_token", "tokens_per_minute", "key_env")):
        return False
    return any(word in lowered for word in SECRET_WORDS)


def mapping(value: object) -> Mapping[str, Any] | None:
    """Give `value` where it is a mapping, else None."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def nearest(name: str, known: Mapping[str, Any] | list[str]) -> str | None:
    """Give the known name that `name` is most likely a slip of."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def explain(
    error: ValidationError, cls: type[BaseModel], values: Mapping[str, Any], origins: Mapping[str, str] | None = None
) -> str:
    """Word a validation error: for each fault the path, the value (never a secret) and what was expected."""
    return "; ".join(message for _, message in faults_of(error, cls, values, origins))


def faults_of(
    error: ValidationError, cls: type[BaseModel], values: Mapping[str, Any], origins: Mapping[str, str] | None = None
) -> list[tuple[tuple[int | str, ...], str]]:
    """Give each fault of a validation error: where it is, and what `explain` says of it."""
    faults = error.errors(include_url=False, include_input=False)
    return [(_loc(fault), _worded(fault, cls, values, origins or {})) for fault in faults]


def _loc(fault: ErrorDetails) -> tuple[int | str, ...]:
    """Give where a fault is: a check of a setting may know it more exactly, as `at` within the setting."""
    context = fault.get("ctx", {})
    return (*(fault["loc"] or context.get("path", ())), *context.get("at", ()))


def _worded(fault: ErrorDetails, cls: type[BaseModel], values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    loc = _loc(fault)
    path = written_path(loc, origins) or cls.__name__
    if fault["type"] == "extra_forbidden":
        near = nearest(str(loc[-1]), _names_at(cls, loc[:-1]))
        return f"{path}: there is no such setting" + (f"; did you mean {near}?" if near else "")
    if fault["type"] == "missing":
        return f"{path}: it is missing"
    expected = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    shown = None if fault["type"] == "unset_variable" else _shown(loc, values)
    return f"{path}: expected {expected}" + (f", got {shown}" if shown else "")


def _names_at(cls: type[BaseModel] | None, loc: Sequence[int | str]) -> list[str]:
    """Give the settings that the part at `loc` has."""
    for name in loc:
        if isinstance(name, str) and cls is not None and name in cls.model_fields:
            inner: Any = cls.model_fields[name].annotation
            cls = next((one for one in (inner, *get_args(inner)) if _is_model(one)), None)
    return [] if cls is None else list(cls.model_fields)


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def written_path(loc: Sequence[int | str], origins: Mapping[str, str]) -> str:
    """Give the path under which the setting at `loc` was written: by the longest part of it that `origins` has."""
    path = ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in loc).replace(".[", "[")
    start = max((own for own in origins if path == own or path.startswith((own + ".", own + "["))), key=len, default="")
    return origins[start] + path[len(start) :] if start else path


def _shown(loc: tuple[int | str, ...], values: Mapping[str, Any]) -> str | None:
    """Give the value at `loc` as text, shortened; None where it is missing, `***` where its name says secret."""
    if any(isinstance(part, str) and (is_secret(part) or part == "environment") for part in loc):
        return "***"
    value: Any = values
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    if isinstance(value, SecretStr | Mapping | list):
        return f"a {type(cast(object, value)).__name__}"
    text = redact(repr(value))
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
