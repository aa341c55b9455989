"""`os.environ/NAME`: a value that stands in an environment variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from gatewright.types.configuration import mapping

__all__ = ["PREFIX", "Unset", "refuse", "resolved_settings", "variable_of"]

PREFIX = "os.environ/"
Path = tuple[str | int, ...]

# A deployment whose key is missing says so when it is asked, and `check-config` before; its provider may need none.
_LATER = frozenset({"api_key", "api_base", "base_url"})


def variable_of(value: Any) -> str | None:
    """Give the variable that `value` refers to; None where it is a value of its own."""
    text = _plain(value)
    return text.removeprefix(PREFIX) if isinstance(text, str) and text.startswith(PREFIX) else None


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


Unset = Callable[[Path, str], None]
"""Is told of a setting, by its path, whose variable is not set."""


def refuse(path: Path, variable: str) -> None:
    """Make an unset variable an error that names the setting."""
    raise PydanticCustomError(
        "unset_variable", "the variable {variable} to be set", {"variable": variable, "path": path}
    )


def resolved_settings(settings: Mapping[str, Any], environ: Mapping[str, str], unset: Unset = refuse) -> dict[str, Any]:
    """Give a configuration's settings with the references in them resolved.

    Those of keys, of base URLs and of whatever goes to a provider are left to the deployments that use them.
    Where a variable is not set `unset(path, variable)` is told, and the value is None.
    """
    own = {name: _plain(value) for name, value in (mapping(settings.get("environment")) or {}).items()}
    known = {**{name: value for name, value in own.items() if variable_of(value) is None}, **environ}
    resolved: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "environment":
            resolved[name] = _variables(value, environ)
        elif name == "model_list" and isinstance(value, list | tuple):
            entries = enumerate(cast("list[Any]", value))
            resolved[name] = [_entry(entry, known, ("model_list", place), unset) for place, entry in entries]
        else:
            resolved[name] = value if name == "api_keys" else _resolved(value, known, (name,), unset)
    return resolved


def _variables(value: Any, environ: Mapping[str, str]) -> Any:
    """Leave out a variable that refers to one that is not set: it is not set either."""
    given = mapping(value)
    if given is None:
        return value
    return {name: _looked_up(one, environ) for name, one in given.items() if _looked_up(one, environ) is not None}


def _looked_up(value: Any, environ: Mapping[str, str]) -> Any:
    variable = variable_of(value)
    return value if variable is None else environ.get(variable)


def _entry(entry: Any, environ: Mapping[str, str], path: Path, unset: Unset) -> Any:
    from gatewright.configuration.config import LiteLLMParams

    given = mapping(entry)
    if given is None:
        return entry
    params = mapping(given.get("litellm_params"))
    others = ((name, value) for name, value in given.items() if value is not params)
    resolved = {name: _resolved(value, environ, (*path, name), unset) for name, value in others}
    if params is not None:
        now = LiteLLMParams.model_fields.keys() - _LATER
        inner = (*path, "litellm_params")
        resolved["litellm_params"] = {
            name: _resolved(value, environ, (*inner, name), unset) if name in now else value
            for name, value in params.items()
        }
    return resolved


def _resolved(value: Any, environ: Mapping[str, str], path: Path, unset: Unset) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _resolved(one, environ, (*path, name), unset) for name, one in items}
    if isinstance(value, list):
        return [_resolved(one, environ, (*path, place), unset) for place, one in enumerate(cast("list[Any]", value))]
    variable = variable_of(value)
    if variable is None:
        return value
    if variable not in environ:
        unset(path, variable)
        return None
    found = environ[variable]
    return SecretStr(found) if isinstance(value, SecretStr) else found
