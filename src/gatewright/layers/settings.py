"""What the layers' configurations have in common: frozen, finite, and clear about what is wrong."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from gatewright.errors import ConfigurationError

__all__ = ["Settings"]


class Settings(BaseModel):
    """A layer's configuration; a wrong value raises `ConfigurationError`, which names the field and the value.

    Inside another pydantic model it still gives an ordinary validation error, with the whole path.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _refusal(type(self), error) from None

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Check `obj`, usually a dict, and make the configuration of it."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise _refusal(cls, error) from None


def _refusal(cls: type[BaseModel], error: ValidationError) -> ConfigurationError:
    wrong = error.errors(include_url=False)
    if len(wrong) == 1 and isinstance(nested := wrong[0].get("ctx", {}).get("error"), ConfigurationError):
        return nested
    said = "; ".join(
        f"{cls.__name__}.{'.'.join(map(str, item['loc'])) or '(whole)'} = {item['input']!r}: {item['msg']}"
        for item in wrong
    )
    return ConfigurationError(said, param=".".join(map(str, wrong[0]["loc"])) or None)
