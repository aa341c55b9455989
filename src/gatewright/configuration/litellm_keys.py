"""LiteLLM's own keys: which settings they are here.

Sources: LiteLLM's "All settings" page, and `Router.__init__`, `ConfigGeneralSettings` and `GenericLiteLLMParams` of
the litellm release in the lock file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from gatewright.configuration.config import merged_maps
from gatewright.configuration.litellm_ignored import IGNORED
from gatewright.types.configuration import mapping

__all__ = [
    "PARAMS_KNOWN",
    "REQUEST_PARAMS",
    "SECTIONS",
    "SETTING_PREFIXES",
    "Translation",
    "known_keys",
]

Translation = tuple[str, Callable[[Any], Any]]
"""The setting that a key is, and how its value is translated."""


def _same(value: Any) -> Any:
    return value


STRATEGIES = {
    "simple-shuffle": "weighted-shuffle",
    "latency-based-routing": "lowest-latency",
    "cost-based-routing": "lowest-cost",
    # Queues keep each deployment within its limits here; the least busy one has the most of them left.
    "usage-based-routing": "least-busy",
    "usage-based-routing-v2": "least-busy",
}


def _strategy(value: Any) -> Any:
    return STRATEGIES.get(value, value) if isinstance(value, str) else value


def _targets(value: Any) -> Any:
    """Take the model of `{"alias": {"model": …, "hidden": …}}`."""
    if not isinstance(value, Mapping):
        return value
    return {alias: (mapping(one) or {}).get("model", one) for alias, one in cast("Mapping[str, Any]", value).items()}


def _litellms_cache(value: Any) -> Any:
    """Have it known for LiteLLM's: without a type it is in memory."""
    return {"type": "local", **cast("Mapping[str, Any]", value)} if isinstance(value, Mapping) else value


_FALLBACKS: dict[str, Translation] = {
    "fallbacks": ("fallbacks", merged_maps),
    "default_fallbacks": ("default_fallbacks", _same),
    "context_window_fallbacks": ("context_window_fallbacks", merged_maps),
    "content_policy_fallbacks": ("content_policy_fallbacks", merged_maps),
}
ROUTER: dict[str, Translation] = {
    **_FALLBACKS,
    "routing_strategy": ("routing_strategy", _strategy),
    "num_retries": ("max_retries", _same),
    "max_retries": ("max_retries", _same),
    "timeout": ("timeout", _same),
    "model_group_alias": ("aliases", _targets),
    "redis_url": ("redis_url", _same),
    "cache_responses": ("enable_caching", _same),
}
LITELLM: dict[str, Translation] = {
    **_FALLBACKS,
    "num_retries": ("max_retries", _same),
    "request_timeout": ("timeout", _same),
    "drop_params": ("drop_params", _same),
    "model_alias_map": ("aliases", _same),
    "cache": ("enable_caching", _same),
    "cache_params": ("cache", _litellms_cache),
}
GENERAL: dict[str, Translation] = {
    "master_key": ("master_key", _same),
    "completion_model": ("default_model", _same),
    "embedding_model": ("default_embedding_model", _same),
}

# In the order in which they count: the later has the last word.
SECTIONS: dict[str, dict[str, Translation]] = {
    "litellm_settings": LITELLM,
    "router_settings": ROUTER,
    "general_settings": GENERAL,
}


def known_keys(section: str) -> list[str]:
    """Give the keys of a section that are understood or ignored."""
    return [*SECTIONS[section], *IGNORED]


# What says where and as whom a deployment is asked, by its beginning.
SETTING_PREFIXES = ("aws_", "vertex_", "azure_", "watsonx_", "s3_", "gcs_")

# The commonest of what goes to a provider as it is.
REQUEST_PARAMS = (
    *("temperature", "top_p", "n", "stop", "max_tokens", "max_completion_tokens", "presence_penalty", "seed"),
    *("frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "user", "tools", "tool_choice", "stream"),
    *("response_format", "reasoning_effort", "thinking", "extra_body", "dimensions", "encoding_format", "top_k"),
    *("service_tier", "parallel_tool_calls", "input_type", "metadata"),
)
# What slips are measured against, beside `LiteLLMParams`.
PARAMS_KNOWN = (
    *REQUEST_PARAMS,
    *("base_url", "api_version", "organization", "region_name", "tenant_id", "client_id", "client_secret"),
    *("drop_params", "additional_drop_params", "allowed_openai_params", "litellm_credential_name"),
    *("input_cost_per_token", "output_cost_per_token"),
)
