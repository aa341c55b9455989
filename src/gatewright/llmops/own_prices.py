"""The user's own prices: those of a deployment, laid over the catalogue's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from gatewright.errors import ConfigurationError
from gatewright.llmops.price_entries import is_price_name, price_of
from gatewright.types.usage import Price

__all__ = ["price_from_settings"]

_LIMITS = ("max_input_tokens", "max_output_tokens")
_SECONDS = ("cost_per_second", "input_cost_per_second", "output_cost_per_second")
_FLAT = frozenset({"input_cost_per_token", "output_cost_per_token", "tiered_pricing", *_SECONDS})
_RATES = tuple(name for name in Price.__struct_fields__ if "_cost" in name)


def price_from_settings(settings: Mapping[str, Any], base: Price | None) -> Price | None:
    """Give `base` with the prices and limits of a deployment's `model_info` or `litellm_params`, where it has any.

    The names are litellm's. Whoever sets a price of input or output sets a flat one: the catalogue's dearer rates for
    long prompts, its service tiers and quiet hours end. `ConfigurationError` names what is not a price.
    """
    own = {name: _checked(name, value) for name, value in settings.items() if value is not None and is_price_name(name)}
    limits = {name: _limit(name, settings[name]) for name in _LIMITS if settings.get(name) is not None}
    price = _laid_over(base, own) if own else base
    return price if price is None or not limits else msgspec.structs.replace(price, **limits)


def _laid_over(base: Price | None, own: Mapping[str, Any]) -> Price:
    """Give the catalogue's price with the user's rates over it."""
    by_second = next((own[name] for name in _SECONDS if name in own), None)
    entry = _entry(base or Price()) if base is not None and by_second is None else {}
    price = price_of({**entry, **own})
    if price is None:
        name = next(iter(own))
        raise ConfigurationError(
            f"{name}: what this model costs a token is not known; set input_cost_per_token and "
            "output_cost_per_token too (0 where it costs nothing)",
            param=name,
        )
    price = msgspec.structs.replace(price, own=True)
    if by_second is not None:
        price = msgspec.structs.replace(price, cost_per_second=by_second)
    if base is None:
        return price
    kept = ("mode", *_LIMITS)
    if not own.keys() & _FLAT:
        kept += ("off_peak",) * (price.off_peak is None) + ("service_tiers",) * (not price.service_tiers)
        kept += ("above", "above_tokens") * (price.above is None)
    return msgspec.structs.replace(price, **{name: getattr(base, name) for name in kept})


def _entry(price: Price) -> dict[str, Any]:
    """Give a price's own rates as an entry of litellm's map."""
    entry = {name: value for name in _RATES if (value := getattr(price, name)) is not None}
    if "search_cost_per_query" in entry:
        entry["search_context_cost_per_query"] = entry.pop("search_cost_per_query")
    return entry


def _checked(name: str, value: Any) -> Any:
    """Give a price as a number; those of ranges, sizes and hours hold several."""
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, Any]", value)
        return {key: _checked(name, one) if "cost" in key or "size" in key else one for key, one in inner.items()}
    if isinstance(value, list):
        return [_checked(name, one) for one in cast("list[Any]", value)]
    return _cost(name, value)


def _cost(name: str, value: Any) -> float:
    try:
        cost = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        cost = math.nan
    if not 0 <= cost < math.inf:
        raise ConfigurationError(f"{name}: {value!r} is not a price in US dollars, zero or more", param=name)
    return cost


def _limit(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigurationError(f"{name}: {value!r} is not a number of tokens above zero", param=name)
    return value
