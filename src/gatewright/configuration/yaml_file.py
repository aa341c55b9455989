"""A configuration file: settings by their names here, or a LiteLLM proxy's `config.yaml` as it is."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import yaml

from gatewright.configuration.litellm_ignored import TOP_IGNORED, ignored
from gatewright.configuration.litellm_keys import SECTIONS, known_keys
from gatewright.errors import ConfigurationError
from gatewright.types.configuration import mapping, nearest

__all__ = ["Finding", "Verdict", "YamlFile", "read_yaml", "yaml_problem"]

log = logging.getLogger("gatewright.config")

Verdict = Literal["understood", "ignored", "unknown"]


class Finding(NamedTuple):
    """What was made of one key: `understood` as a setting, `ignored` for a reason, or `unknown` (with the nearest)."""

    path: str
    verdict: Verdict
    note: str


class YamlFile(NamedTuple):
    """The settings that a file makes, what became of each of its keys, and where each setting was written."""

    values: dict[str, Any]
    findings: list[Finding]
    origins: dict[str, str]


def read_yaml(path: Path, *, warn: bool = True) -> YamlFile:
    """Read a file; what is not understood in it is logged as warnings, if `warn`; an unreadable one is an error."""
    file = _Reader(path).read(_content(path))
    if warn:
        _warn(path, file.findings)
    return file


def yaml_problem(error: Exception) -> str:
    """Say what is wrong with a text that is not YAML, and where; never what stands there: it may be a secret."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        return f"{error.problem or error.context or 'it cannot be read'}{where}"
    return "it has characters that YAML does not allow" if isinstance(error, yaml.YAMLError) else "it is not UTF-8"


def _content(path: Path) -> dict[str, Any]:
    """Give a file's keys, and those of the files that it includes (LiteLLM's `include`)."""
    content = dict(_loaded(path))
    for name in _names(path, content.pop("include", None)):
        for key, value in _content(path.parent / name).items():
            mine = content.get(key)
            content[key] = [*mine, *value] if isinstance(mine, list) and isinstance(value, list) else value
    return content


def _names(path: Path, include: Any) -> list[str]:
    names = [] if include is None else cast("list[Any]", include)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{path}: include: expected a list of files", param="include")
    return cast("list[str]", names)


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not YAML: {yaml_problem(error)}") from None
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{path}: expected a mapping of settings, got {_kind(content)}")
    return {str(key): value for key, value in cast("Mapping[Any, Any]", content).items()}


def _warn(path: Path, findings: list[Finding]) -> None:
    for finding in findings:
        if finding.verdict == "unknown":
            log.warning("%s: %s is unknown: %s", path, finding.path, finding.note)
    without = [finding.path for finding in findings if finding.verdict == "ignored"]
    if without:
        log.warning("%s: no part here have %s (gatewright check-config says why)", path, ", ".join(without))


def _kind(value: Any) -> str:
    return {"dict": "a mapping", "list": "a list", "str": "a text", "NoneType": "nothing"}.get(
        type(value).__name__, f"a {type(value).__name__}"
    )


_ORDER = ["environment_variables", *SECTIONS]


class _Reader:
    """Takes a file apart, key by key; errors name the file and the path."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        self._findings: dict[str, Finding] = {}
        self._origins: dict[str, str] = {}

    def read(self, content: Mapping[str, Any]) -> YamlFile:
        from gatewright.configuration.config import GatewayConfig

        fields = GatewayConfig.model_fields
        # What is written under its own name here has the last word.
        for key in sorted(content, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER)):
            value = content[key]
            if key in SECTIONS:
                self._section(key, value)
            elif key == "environment_variables":
                self._set("environment", key, self._environment(key, value))
            elif key in fields:
                self._set(key, key, value)
            elif key in TOP_IGNORED:
                self._note(key, "ignored", TOP_IGNORED[key])
            elif key != "credential_list":
                self._unknown(key, [*fields, *_ORDER], prefix="")
        self._models(content)
        places = {key: place for place, key in enumerate(content)}
        findings = sorted(self._findings.values(), key=lambda one: places.get(re.split(r"[.\[]", one.path)[0], 0))
        return YamlFile(self._values, findings, self._origins)

    def _section(self, section: str, content: Any) -> None:
        table = SECTIONS[section]
        for key, value in self._mapping(section, content).items():
            path = f"{section}.{key}"
            if value is None and (key in table or ignored(key)):
                self._note(path, "understood", "nothing is said, so the default holds")
            elif key in table:
                setting, translate = table[key]
                self._set(setting, path, translate(value))
            elif key == "ssl_verify" and isinstance(value, str):
                self._set("http", path, {"ca_file": value}, inside="ca_file")
            elif key != "default_litellm_params":
                self._unless_ignored(section, key)

    def _unless_ignored(self, section: str, key: str) -> None:
        reason = ignored(key)
        if reason is not None:
            self._note(f"{section}.{key}", "ignored", reason)
            return
        home = next((other for other in SECTIONS if key in SECTIONS[other]), None)
        if home is not None:
            self._note(f"{section}.{key}", "unknown", f"it belongs in {home}")
        else:
            self._unknown(key, known_keys(section), prefix=f"{section}.")

    def _models(self, content: Mapping[str, Any]) -> None:
        from gatewright.configuration.yaml_models import Models

        models = Models(content, self._note)
        if isinstance(self._values.get("model_list"), list):
            self._values["model_list"] = models.read(self._values["model_list"])

    def _set(self, setting: str, path: str, value: Any, inside: str = "") -> None:
        earlier = self._origins.get(setting)
        if earlier is not None:
            self._note(earlier, "ignored", f"{path} has the last word")
        self._values[setting] = value
        self._origins[f"{setting}.{inside}" if inside else setting] = path
        self._note(path, "understood", f"{setting}.{inside}" if inside else setting)

    def _environment(self, key: str, value: Any) -> dict[str, str]:
        return {name: self._text(f"{key}.{name}", one) for name, one in self._mapping(key, value).items()}

    def _text(self, path: str, value: Any) -> str:
        if isinstance(value, list | Mapping):
            raise ConfigurationError(f"{self._path}: {path}: expected a text, got {_kind(value)}", param=path)
        if isinstance(value, bool):
            return str(value).lower()
        return "" if value is None else str(value)

    def _mapping(self, key: str, value: Any) -> Mapping[str, Any]:
        if value is None:
            return {}
        given = mapping(value)
        if given is None:
            raise ConfigurationError(f"{self._path}: {key}: expected a mapping, got {_kind(value)}", param=key)
        return {str(name): one for name, one in given.items()}

    def _unknown(self, key: str, known: list[str], prefix: str) -> None:
        near = nearest(key, known)
        self._note(prefix + key, "unknown", f"did you mean {prefix}{near}?" if near else "no setting is like it")

    def _note(self, path: str, verdict: Verdict, note: str) -> None:
        self._findings[path] = Finding(path, verdict, note)
