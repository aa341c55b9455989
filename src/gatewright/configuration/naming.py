"""The models that a configuration names beside its model list, and whether there are such."""

from __future__ import annotations

from collections.abc import Iterator

from gatewright.configuration.config import GatewayConfig
from gatewright.errors import ConfigurationError, NotFound
from gatewright.layers.routing.group import Group
from gatewright.layers.routing.table import RoutingTable

__all__ = ["check_names", "find_named", "named_models"]


def named_models(config: GatewayConfig) -> Iterator[tuple[str, list[str]]]:
    """Give each setting that names models beside the model list, and the names."""
    for setting in ("default_model", "default_embedding_model"):
        if (model := getattr(config, setting)) is not None:
            yield setting, [model]
    for setting in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        for model, targets in getattr(config, setting).items():
            yield f"{setting}.{model}", [model, *targets]
    if config.default_fallbacks:
        yield "default_fallbacks", list(config.default_fallbacks)
    for model in config.model_rate_limits:
        yield f"model_rate_limits.{model}", [model]
    for alias, target in config.aliases.items():
        yield f"aliases.{alias}", [target]


def find_named(table: RoutingTable, model: str, setting: str) -> Group:
    """Give the group of a model that `setting` names; `ConfigurationError` where there is none."""
    try:
        return table.find(model)
    except NotFound as error:
        raise ConfigurationError(f"{setting}: {error.message}", param=setting) from error


def check_names(config: GatewayConfig, table: RoutingTable) -> None:
    """Find every model that the configuration names, so that a slip shows at the start and not in an outage."""
    for setting, models in named_models(config):
        for model in filter(None, models):
            find_named(table, model, setting)
