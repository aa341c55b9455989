"""Checks a configuration without asking any provider: what it means, and what is wrong with it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import msgspec

from gatewright.configuration.config import GatewayConfig, ModelEntry
from gatewright.configuration.deployments import LOCAL_PROVIDERS, Deployments
from gatewright.configuration.guard_settings import check_guards
from gatewright.configuration.naming import named_models
from gatewright.configuration.references import resolved_settings, variable_of
from gatewright.configuration.yaml_file import Finding, YamlFile, read_yaml
from gatewright.errors import AuthenticationFailed, ConfigurationError, NotFound
from gatewright.layers.routing.table import RoutingTable
from gatewright.providers.catalogue import key_variables, provider_name, wire_spec
from gatewright.providers.lanes import Lanes, lane_of
from gatewright.redaction import redact
from gatewright.types.configuration import is_secret, written_path
from gatewright.types.deployment import Deployment
from gatewright.types.usage import Price

_SEVERAL = re.compile("; (?!did you mean )")

__all__ = ["CheckedDeployment", "CheckedFallback", "ConfigReport", "check_file"]


class CheckedDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the model list, resolved; `key` says where its key was found, and is never the key itself.

    `key` is `none needed`, `missing: …`, or the key's source; `price` is None where it is not known.
    """

    model_name: str
    provider: str
    model: str
    lane: str
    base_url: str | None
    key: str
    key_found: bool
    price: Price | None
    order: int
    weight: float


class CheckedFallback(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that names models, and those of them that there are not."""

    setting: str
    models: Sequence[str]
    missing: Sequence[str]


class ConfigReport(msgspec.Struct, kw_only=True):
    """What became of a configuration file; with `errors` no gateway can be made of it.

    `settings` are the plain values that the file set, by the setting's name, in words; secrets are not among them.
    """

    file: str
    findings: Sequence[Finding] = ()
    settings: dict[str, str] = {}
    deployments: list[CheckedDeployment] = []
    fallbacks: list[CheckedFallback] = []
    errors: list[str] = []
    warnings: list[str] = []


def check_file(path: Path, environ: Mapping[str, str] | None = None) -> ConfigReport:
    """Read a file as a gateway would and resolve all that it names; nothing is sent anywhere."""
    environ = os.environ if environ is None else environ
    report = ConfigReport(file=str(path))
    unset: list[tuple[tuple[str | int, ...], str]] = []
    file = YamlFile({}, [], {})
    try:
        file = read_yaml(path, warn=False)
        report.findings = file.findings
        values = resolved_settings(file.values, environ, lambda at, name: unset.append((at, name)))
        config = GatewayConfig.read(values, "", file.origins)
    except ConfigurationError as error:
        report.errors = _SEVERAL.split(error.message.removeprefix(f"{path}: "))
        return report
    finally:
        report.errors[:0] = [f"{written_path(at, file.origins)}: the variable {name} is not set" for at, name in unset]
    report.settings = dict(_settings(config, file.origins))
    try:
        check_guards(path, config)
    except ConfigurationError as error:
        report.errors.append(error.message.replace(f"{path}:", "line ", 1))
    _Check(config, report, environ).run()
    return report


class _Check:
    def __init__(self, config: GatewayConfig, report: ConfigReport, environ: Mapping[str, str]) -> None:
        own = {name: value.get_secret_value() for name, value in config.environment.items()}
        self._config = config
        self._report = report
        self._environ = {**own, **environ}
        self._deployments = Deployments(config, self._environ)
        self._lanes = Lanes()

    def run(self) -> None:
        found = [one for place, entry in enumerate(self._config.model_list) for one in self._entry(place, entry)]
        table = RoutingTable(found, aliases=self._config.aliases, on_demand=self._deployments.on_demand)
        for setting, models in named_models(self._config):
            missing = [model for model in models if not _there(table, model)]
            self._report.fallbacks.append(CheckedFallback(setting=setting, models=models, missing=missing))
            self._report.errors += [f"{setting}: there is no model {model!r}" for model in missing]
        self._warn()

    def _warn(self) -> None:
        warnings = self._report.warnings
        warnings += [f"{one.path}: {one.note}" for one in self._report.findings if one.verdict == "unknown"]
        if not self._config.model_list and not self._config.providers:
            warnings.append("model_list: it is empty: every provider can be asked by its own model names")
        lanes = {one.lane for one in self._report.deployments}
        if "litellm" in lanes and find_spec("litellm") is None:
            warnings.append(
                'litellm: it is not installed, and the litellm lane needs it: pip install "gatewright[litellm]"'
            )

    def _entry(self, place: int, entry: ModelEntry) -> Iterator[Deployment]:
        if entry.litellm_params.model == "*":
            self._report.deployments.append(_anything(entry))
            return
        try:
            deployment = self._deployments.resolve(place)
            lane = lane_of(deployment)
            with contextlib.suppress(AuthenticationFailed):  # of a missing key is told below
                self._lanes.provider(deployment)  # which checks its settings
        except ConfigurationError as error:
            at = f"model_list[{place}]"
            self._report.errors.append(error.message if error.message.startswith(at) else f"{at}: {error.message}")
            return
        key, key_found = self._key(entry, deployment)
        if not key_found:
            self._report.warnings.append(f"model_list[{place}] ({entry.model_name}): key {key}")
        spec = wire_spec(deployment.provider)
        default_url = spec.base_url if spec is not None and lane == "direct" else None
        self._report.deployments.append(
            CheckedDeployment(
                model_name=entry.model_name,
                provider=deployment.provider,
                model=deployment.model,
                lane=lane,
                base_url=redact(deployment.base_url or default_url or "") or None,
                key=key,
                key_found=key_found,
                price=deployment.price,
                order=deployment.order,
                weight=deployment.weight,
            )
        )
        yield deployment

    def _key(self, entry: ModelEntry, deployment: Deployment) -> tuple[str, bool]:
        """Say where the key of a deployment was found."""
        own, provider = entry.litellm_params.api_key, deployment.provider
        variable = variable_of(own)
        if own is not None:
            where = "in the file" if variable is None else variable
            return (where, True) if deployment.api_key is not None else (f"missing: {variable}", False)
        name = next((name for name in self._config.api_keys if provider_name(name) == provider), None)
        if name is not None:
            source = f"api_keys.{name}"
            return (source, True) if deployment.api_key is not None else (f"missing: {source}", False)
        spec = wire_spec(provider)
        if provider in LOCAL_PROVIDERS or (spec is not None and not spec.key_needed and deployment.api_key is None):
            return "none needed", True
        variables = key_variables(provider)
        found = next((name for name in variables if self._environ.get(name)), None)
        if found is not None:
            return found, True
        if not variables:
            return "the provider's own way", True
        return f"missing: {' or '.join(variables)}", False


def _settings(config: GatewayConfig, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, str | int | float) and not is_secret(name):
            yield name, redact(str(value))
        elif isinstance(value, list | dict):
            number = len(cast("list[Any]", value))
            yield name, f"{number} entr{'y' if number == 1 else 'ies'}"


def _there(table: RoutingTable, model: str) -> bool:
    try:
        table.find(model)
    except NotFound:
        return False
    return True


def _anything(entry: ModelEntry) -> CheckedDeployment:
    """Describe the entry that takes every provider's own model names."""
    return CheckedDeployment(
        model_name=entry.model_name,
        provider="*",
        model="*",
        lane="by provider",
        base_url=entry.litellm_params.api_base,
        key="by provider",
        key_found=True,
        price=None,
        order=entry.order or 0,
        weight=1.0,
    )
