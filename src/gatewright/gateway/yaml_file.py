"""A configuration file: settings by their names here, or a LiteLLM proxy's `config.yaml` as it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from gatewright.errors import ConfigurationError
from gatewright.types.configuration import nearest

__all__ = ["Finding", "YamlFile", "read_yaml"]

log = logging.getLogger("gatewright.config")


class Finding(NamedTuple):
    """What was made of one key: `understood` as a setting, `ignored` for a reason, or `unknown` (with the nearest)."""

    path: str
    verdict: str
    note: str


class YamlFile(NamedTuple):
    """The settings that a file makes, and what became of each of its keys."""

    values: dict[str, Any]
    findings: list[Finding]


_STRATEGIES = {
    "simple-shuffle": "weighted-shuffle",
    "weighted-shuffle": "weighted-shuffle",
    "least-busy": "least-busy",
    "latency-based-routing": "lowest-latency",
    "lowest-latency": "lowest-latency",
    "cost-based-routing": "lowest-cost",
    "lowest-cost": "lowest-cost",
    # Queues keep each deployment within its limits here; the least busy one has the most of them left.
    "usage-based-routing": "least-busy",
    "usage-based-routing-v2": "least-busy",
}


def _strategy(value: Any) -> Any:
    return _STRATEGIES.get(str(value), value)


def _same(value: Any) -> Any:
    return value


# LiteLLM's key → the setting, and how its value is translated.
_ROUTER: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "routing_strategy": ("routing_strategy", _strategy),
    "num_retries": ("max_retries", _same),
    "timeout": ("timeout", _same),
    "fallbacks": ("fallbacks", _same),
    "default_fallbacks": ("default_fallbacks", _same),
    "context_window_fallbacks": ("context_window_fallbacks", _same),
    "content_policy_fallbacks": ("content_policy_fallbacks", _same),
    "model_group_alias": ("aliases", _same),
}
_LITELLM: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "num_retries": ("max_retries", _same),
    "request_timeout": ("timeout", _same),
    "drop_params": ("drop_params", _same),
    "fallbacks": ("fallbacks", _same),
    "default_fallbacks": ("default_fallbacks", _same),
    "context_window_fallbacks": ("context_window_fallbacks", _same),
    "content_policy_fallbacks": ("content_policy_fallbacks", _same),
}
_GENERAL: dict[str, tuple[str, Callable[[Any], Any]]] = {"master_key": ("master_key", _same)}
_SECTIONS = {"router_settings": _ROUTER, "litellm_settings": _LITELLM, "general_settings": _GENERAL}

# LiteLLM's keys that are known and have no part here, and why.
_IGNORED = {
    "set_verbose": "use --log-level",
    "json_logs": "use --log-level",
    "telemetry": "there is none",
    "callbacks": "integrations of litellm are not called",
    "success_callback": "integrations of litellm are not called",
    "failure_callback": "integrations of litellm are not called",
    "cache": "caching is not built yet",
    "cache_params": "caching is not built yet",
    "redis_host": "shared state is not built yet",
    "redis_port": "shared state is not built yet",
    "redis_password": "shared state is not built yet",
    "redis_url": "shared state is not built yet",
    "allowed_fails": "the circuit breaker is not built yet",
    "cooldown_time": "the circuit breaker is not built yet",
    "enable_pre_call_checks": "a prompt too long falls back by context_window_fallbacks",
    "retry_after": "the provider's Retry-After is honoured",
    "retry_policy": "what may be retried is decided by the error's type",
    "allowed_fails_policy": "the circuit breaker is not built yet",
    "database_url": "records are not built yet",
    "store_model_in_db": "models are configured in the file",
    "alerting": "not built yet",
    "alerting_threshold": "not built yet",
    "proxy_batch_write_at": "records are not built yet",
    "ssl_verify": "certificates are always verified; name your own authority in http.ca_file",
    "model_group_retry_policy": "what may be retried is decided by the error's type",
}


def read_yaml(path: Path) -> YamlFile:
    """Read a file and log a warning for each key that is not understood; an unreadable one is an error."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not YAML: {error}") from error
    if content is None:
        content = {}
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{path}: expected a mapping of settings, got {type(content).__name__}")
    file = _Reader(path).read(cast("Mapping[str, Any]", content))
    for finding in file.findings:
        if finding.verdict != "understood":
            log.warning("%s: %s is %s: %s", path, finding.path, finding.verdict, finding.note)
    return file


class _Reader:
    """Takes a file apart, key by key; errors name the file and the path."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        self._findings: list[Finding] = []

    def read(self, content: Mapping[str, Any]) -> YamlFile:
        from gatewright.gateway.config import GatewayConfig

        known = {*GatewayConfig.model_fields, *_SECTIONS, "environment_variables"}
        for key, value in content.items():
            if key in _SECTIONS:
                self._section(key, value)
            elif key == "environment_variables":
                self._values["environment"] = self._mapping(key, value)
                self._note(key, "understood", "environment")
            elif key in GatewayConfig.model_fields:
                self._values[key] = value
                self._note(key, "understood", key)
            else:
                self._unknown(str(key), list(known), prefix="")
        return YamlFile(self._values, self._findings)

    def _section(self, section: str, content: Any) -> None:
        table = _SECTIONS[section]
        for key, value in self._mapping(section, content).items():
            path = f"{section}.{key}"
            if key in table:
                setting, translate = table[key]
                self._values[setting] = translate(value)
                self._note(path, "understood", setting)
            elif key in _IGNORED:
                self._note(path, "ignored", _IGNORED[key])
            else:
                self._unknown(str(key), [*table, *_IGNORED], prefix=f"{section}.")

    def _mapping(self, key: str, value: Any) -> Mapping[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"{self._path}: {key}: expected a mapping, got {type(value).__name__}", param=key)
        return cast("Mapping[str, Any]", value)

    def _unknown(self, key: str, known: list[str], prefix: str) -> None:
        near = nearest(key, known)
        self._note(prefix + key, "unknown", f"did you mean {prefix}{near}?" if near else "no setting is like it")

    def _note(self, path: str, verdict: str, note: str) -> None:
        self._findings.append(Finding(path, verdict, note))
