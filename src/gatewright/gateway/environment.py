"""The configuration that environment variables make."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from gatewright.errors import ConfigurationError
from gatewright.providers.catalogue import KEY_VARIABLES
from gatewright.types.configuration import Config, mapping, nearest

__all__ = ["PREFIX", "configured_providers", "read_environment"]

log = logging.getLogger("gatewright.config")

PREFIX = "GATEWRIGHT_"
# Variables of the prefix that are no settings: `CONFIG` names a file, the others are read where they are used.
_OTHER = {"CONFIG", "API_KEY", "HOST", "PORT"}
C = TypeVar("C", bound=Config)


def configured_providers(environ: Mapping[str, str]) -> list[str]:
    """Give the providers whose well-known key variables are set."""
    return sorted(provider for provider, names in KEY_VARIABLES.items() if any(environ.get(name) for name in names))


def read_environment(cls: type[C], environ: Mapping[str, str] | None = None) -> C:
    """Make a configuration of `GATEWRIGHT_<SETTING>` variables, over the file that `GATEWRIGHT_CONFIG` names.

    A value is YAML, so lists and maps can be written; a part's setting is `GATEWRIGHT_HTTP__CONNECT_TIMEOUT`.
    A variable that is no setting is warned of.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    if path := environ.get(PREFIX + "CONFIG"):
        from gatewright.gateway.yaml_file import read_yaml

        values = dict(read_yaml(Path(path)).values)
    for name in sorted(environ):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in _OTHER:
            _set(values, cls, name, environ[name])
    if not values.get("model_list") and not values.get("providers"):
        values["providers"] = configured_providers(environ)
    return cls.read(values, "environment")


def _set(values: dict[str, Any], cls: type[BaseModel], name: str, text: str) -> None:
    path = name.removeprefix(PREFIX).lower().split("__")
    fields: Mapping[str, Any] = cls.model_fields
    if path[0] not in fields:
        near = nearest(path[0], list(fields))
        log.warning("%s is not a setting%s", name, f"; did you mean {PREFIX}{near.upper()}?" if near else "")
        return
    target = values
    for part in path[:-1]:
        inner: dict[str, Any] = dict(mapping(target.get(part)) or {})
        target[part] = inner
        target = inner
    target[path[-1]] = _value(name, text, listed=_is_list(fields[path[0]].annotation) and len(path) == 1)


def _is_list(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is list


def _value(name: str, text: str, *, listed: bool) -> Any:
    """Read a value: YAML where it is a list or a map, or `a, b` for a list; anything else is left to the setting."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"environment: {name} is not YAML: {error}") from error
    if listed:
        return [part.strip() for part in text.split(",") if part.strip()]
    return None if text.strip().lower() in ("", "none", "null") else text
