"""Whether several workers may serve one configuration: their limits must be one."""

from __future__ import annotations

from gatewright.configuration.config import GatewayConfig
from gatewright.errors import ConfigurationError

__all__ = ["check_sharing"]


def check_sharing(config: GatewayConfig) -> None:
    """Refuse several workers whose limits nothing holds together: each would allow the whole of them."""
    if config.redis_url is not None:
        return
    names = ("rate_limit", "tenant_rate_limits", "model_rate_limits", "key_rate_limits")
    limited = [name for name in names if getattr(config, name)]
    limited += [f"model_list[{place}]" for place, entry in enumerate(config.model_list) if _is_limited(entry)]
    if limited:
        raise ConfigurationError(
            f"workers: several workers would each allow the whole of the limits in {', '.join(limited)}: "
            "set redis_url, so that they share them, serve with one worker, or remove the limits",
            param="workers",
        )


def _is_limited(entry: object) -> bool:
    params = getattr(entry, "litellm_params", None)
    names = ("rpm", "tpm", "max_parallel_requests")
    return any(getattr(part, name, None) is not None for part in (entry, params) for name in names)
