"""The configuration that environment variables make."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from gatewright.errors import ConfigurationError
from gatewright.providers.catalogue import KEY_VARIABLES, USUAL_MODELS, WIRE_PROVIDERS
from gatewright.types.configuration import Config, mapping, nearest

__all__ = ["PREFIX", "configured_providers", "read_environment"]

log = logging.getLogger("gatewright.config")

PREFIX = "GATEWRIGHT_"
# Variables of the prefix that are no settings: `CONFIG` names a file, the others are read where they are used.
_OTHER = {"CONFIG", "API_KEY", "HOST", "PORT", "LOG_LEVEL", "DEBUG"}
C = TypeVar("C", bound=Config)


def configured_providers(environ: Mapping[str, str]) -> list[str]:
    """Give the providers whose well-known key variables are set, those of a usual model first."""
    found = {provider for provider, names in KEY_VARIABLES.items() if any(environ.get(name) for name in names)}
    return [*(name for name in USUAL_MODELS if name in found), *sorted(found - USUAL_MODELS.keys())]


def read_environment(cls: type[C], environ: Mapping[str, str] | None = None) -> C:
    """Make a configuration of `GATEWRIGHT_<SETTING>` variables, over the file that `GATEWRIGHT_CONFIG` names.

    A value is YAML, so lists and maps can be written; a part's setting is `GATEWRIGHT_HTTP__CONNECT_TIMEOUT`.
    A variable that is no setting is warned of.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if path := environ.get(PREFIX + "CONFIG"):
        from gatewright.configuration.yaml_file import read_yaml

        file = read_yaml(Path(path))
        values = dict(file.values)
        origins = {setting: f"{path}: {written}" for setting, written in file.origins.items()}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in _OTHER:
            _set(values, origins, cls, name, environ[name])
    if not values.get("model_list") and not values.get("providers"):
        values["providers"] = _reachable(environ)
    read = partial(cls.read, values, "", origins)
    if path and "validation" in origins:
        from gatewright.configuration.guard_settings import with_guards

        return with_guards(Path(path), read)
    return read()


def _reachable(environ: Mapping[str, str]) -> list[str]:
    """Give the providers with a key, and those that need none; an empty list, which is all of them, where none has."""
    found = configured_providers(environ)
    keyless = [spec.name for spec in WIRE_PROVIDERS.values() if spec.base_url and not spec.key_needed]
    return [*found, *keyless, "local", "simulator"] if found else []


def _set(values: dict[str, Any], origins: dict[str, str], cls: type[BaseModel], name: str, text: str) -> None:
    path = name.removeprefix(PREFIX).lower().split("__")
    annotation = _annotation(cls, name, path)
    if annotation is None:
        return
    target = values
    for part in path[:-1]:
        inner: dict[str, Any] = dict(mapping(target.get(part)) or {})
        target[part] = inner
        target = inner
    target[path[-1]] = _value(name, text, annotation)
    origins[".".join(path)] = f"environment: {name}"


def _annotation(cls: type[BaseModel], name: str, path: list[str]) -> Any:
    """Give the type of the setting at `path`; None, with a warning, where there is none."""
    part: Any = cls
    for place, word in enumerate(path):
        if not (isinstance(part, type) and issubclass(part, BaseModel)):
            return str  # what stands in a map (`GATEWRIGHT_API_KEYS__OPENAI`) is a text
        if word not in part.model_fields:
            near = nearest(word, list(part.model_fields))
            meant = PREFIX + "__".join([*path[:place], near or ""]).upper()
            log.warning("%s is not a setting%s", name, f"; did you mean {meant}?" if near else "")
            return None
        part = _one_of(part.model_fields[word].annotation)
    return part


def _one_of(annotation: Any) -> Any:
    """Give what a setting is where it is not None."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if get_origin(annotation) in (Union, UnionType) and len(kinds) == 1 else annotation


def _value(name: str, text: str, annotation: Any) -> Any:
    """Read a value: YAML where it is a list or a map, or `a, b` for a list; anything else is left to the setting."""
    if text.strip().lower() in ("", "none", "null"):
        return None
    listed = get_origin(annotation) is list
    if listed and get_args(annotation) == (str,) and not text.lstrip().startswith(("[", "- ")):
        return [part.strip() for part in text.split(",") if part.strip()]
    part = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return _yaml(name, text) if listed or part or get_origin(annotation) is dict else text


def _yaml(name: str, text: str) -> Any:
    from gatewright.configuration.yaml_file import yaml_problem

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"environment: {name} is not YAML: {yaml_problem(error)}") from None
