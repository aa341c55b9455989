"""From litellm's words for prices to a `Price`: those of its map, which are also those of a deployment's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec

from gatewright.types.off_peak import OffPeakHours, Window
from gatewright.types.usage import OffPeak, Price

__all__ = ["is_price_name", "price_of"]

_INPUT, _OUTPUT = "input_cost_per_token", "output_cost_per_token"
_READ, _WRITE = "cache_read_input_token_cost", "cache_creation_input_token_cost"
_WRITE_1H, _REASONING = "cache_creation_input_token_cost_above_1hr", "output_cost_per_reasoning_token"
# These have dearer rates for long prompts, and rates of their own in a service tier.
_STEPPED = (_INPUT, _OUTPUT, _WRITE, _WRITE_1H, _READ)
_TIERED = (
    "cache_read_input_audio_token_cost",
    "input_cost_per_audio_token",
    "input_cost_per_image_token",
    "input_cost_per_video_token",
)
_IMAGE_OUT = "output_cost_per_image_token"
_PLAIN = (
    "output_cost_per_audio_token",
    _IMAGE_OUT,
    "output_cost_per_video_token",
    "input_cost_per_image",
    "input_cost_per_query",
    "input_cost_per_request",
    "input_cost_per_audio_per_second",
    "input_cost_per_video_per_second",
)
_SECONDS = ("cost_per_second", "input_cost_per_second", "output_cost_per_second")
_SEARCH = "search_context_cost_per_query"
# How the map writes a service tier at the end of a name, and what it is called here.
_SUFFIXES = {
    "flex": "flex",
    "priority": "priority",
    "balanced": "balanced",
    "ultrafast": "ultrafast",
    "batches": "batch",
}
_BATCHES = "batches"
_ABOVE = re.compile(rf"^(?:{'|'.join(_STEPPED)})_above_(\d+)(k?)_tokens(?:_({'|'.join(_SUFFIXES)}))?$")
_NAME = re.compile(
    rf"^(?:{'|'.join((*_STEPPED, _REASONING, *_TIERED))})(?:_above_\d+k?_tokens)?(?:_(?:{'|'.join(_SUFFIXES)}))?$"
)
_WHOLE = frozenset({*_PLAIN, *_SECONDS, _SEARCH, "tiered_pricing", "off_peak_pricing"})
# Of the sizes of a search the map has a price for each; perplexity's usage does not tell which, and low is the usual.
_SIZES = {"perplexity": "low"}
_REACHED_IS_ABOVE = frozenset({"xai"})  # bills the dearer rate from the threshold on, the others beyond it
_HALF_PRICE_CACHE = frozenset({"fireworks_ai"})  # what is read from the cache costs half where nothing else is said


def is_price_name(name: str) -> bool:
    """Say whether a setting's name is one of litellm's for a price."""
    return name in _WHOLE or _NAME.match(name) is not None


def price_of(entry: Mapping[str, Any], provider: str = "") -> Price | None:
    """Give the price that an entry of the map states; None where it is sold neither by the token nor by the second."""
    if provider in _HALF_PRICE_CACHE and entry.get(_READ) is None and entry.get(_INPUT):
        entry = {**entry, _READ: entry[_INPUT] * 0.5}
    if entry.get("tiered_pricing"):
        standard = _ranges(entry)
    elif entry.get(_INPUT) is None and entry.get(_OUTPUT) is None:
        standard = _by_the_second(entry)
    else:
        standard = _stepped(entry, provider)
        tiers = {_SUFFIXES[suffix]: _stepped(entry, provider, suffix) for suffix in _SUFFIXES if _has(entry, suffix)}
        tiers = {name: price for name, price in tiers.items() if price != standard}
        standard = msgspec.structs.replace(standard, service_tiers=tiers) if tiers else standard
    return standard if standard is None else _with_off_peak(standard, entry.get("off_peak_pricing"))


def _rate(value: Any) -> float:
    """Give a rate without the noise of floats: nothing is sold in steps of less than 10⁻¹⁵ dollars."""
    return float(round(Decimal(str(value)), 15))


def _rates(entry: Mapping[str, Any], names: tuple[str, ...], suffix: str = "") -> dict[str, float]:
    found = {name: entry.get(f"{name}{suffix}") for name in names}
    return {name: _rate(value) for name, value in found.items() if value is not None}


def _stepped(entry: Mapping[str, Any], provider: str, suffix: str = "") -> Price:
    """Give the rates of a service tier (the standard one has no suffix) with its steps for long prompts.

    What a tier has no rate for is billed at the standard one. Batches have rates of their own for all of it.
    """
    tier = f"_{suffix}" if suffix else ""
    rates = _batch(entry) if suffix == _BATCHES else _rates(entry, (*_STEPPED, *_TIERED))
    rates |= _rates(entry, (*_STEPPED, *_TIERED), tier) | _by_piece(entry, provider)
    if suffix != _BATCHES:
        rates |= _rates(entry, _PLAIN) | _reasoning(entry, tier)
        if not rates.get(_OUTPUT) and rates.get(_IMAGE_OUT):
            rates[_OUTPUT] = rates[_IMAGE_OUT]
    steps = [(0, rates)]
    for threshold, word in _thresholds(entry, suffix):
        above = {} if suffix == _BATCHES else _rates(entry, _STEPPED, f"_above_{word}_tokens")
        rates = rates | above | _rates(entry, _STEPPED, f"_above_{word}_tokens{tier}")
        steps.append((threshold - (provider in _REACHED_IS_ABOVE), rates))
    return _chain(steps)


def _batch(entry: Mapping[str, Any]) -> dict[str, float]:
    """Give the usual discount of batches, half of the price, for where the map has no rate for them."""
    return {name: _rate(value * 0.5) for name in (_INPUT, _OUTPUT, _IMAGE_OUT) if (value := entry.get(name))}


def _reasoning(entry: Mapping[str, Any], tier: str) -> dict[str, float]:
    """Give the rate of reasoning: a tier with a rate of its own for the output bills it at that."""
    rate = entry.get(f"{_REASONING}{tier}")
    if rate is None and (not tier or entry.get(f"{_OUTPUT}{tier}") is None):
        rate = entry.get(_REASONING)
    return {} if rate is None else {_REASONING: _rate(rate)}


def _thresholds(entry: Mapping[str, Any], suffix: str) -> list[tuple[int, str]]:
    """Give the thresholds of a tier in tokens, with the word that the map has for each."""
    found: set[tuple[int, str]] = set()
    for name, value in entry.items():
        match = _ABOVE.match(name) if value is not None else None
        if match is not None and (match[3] or "") in (suffix, "" if suffix != _BATCHES else suffix):
            found.add((int(match[1]) * (1000 if match[2] else 1), f"{match[1]}{match[2]}"))
    return sorted(found)


def _chain(steps: list[tuple[int, dict[str, float]]]) -> Price:
    """Give the steps as prices, each with the next one above it."""
    price: Price | None = None
    threshold = None
    for start, rates in reversed(steps):
        price = msgspec.structs.replace(Price(above_tokens=threshold, above=price), **rates)
        threshold = start
    return cast(Price, price)


def _has(entry: Mapping[str, Any], suffix: str) -> bool:
    """Say whether an entry has rates for a service tier."""
    return any(name.endswith(f"_{suffix}") and _NAME.match(name) for name, value in entry.items() if value is not None)


def _ranges(entry: Mapping[str, Any]) -> Price:
    """Give a table of ranges as steps: a range's missing rates are its own input's, or its own output's."""
    table = sorted(entry["tiered_pricing"], key=lambda tier: tier["range"][0])
    steps: list[tuple[int, dict[str, float]]] = []
    for tier in table:
        rates = _rates(tier, (*_STEPPED, _REASONING))
        if _OUTPUT not in rates:
            rates |= _rates(entry, (_OUTPUT, _REASONING)) | rates
        steps.append((int(tier["range"][0]), rates))
    return _chain(steps)


def _by_the_second(entry: Mapping[str, Any]) -> Price | None:
    rate = next((entry[name] for name in _SECONDS if entry.get(name) is not None), None)
    return None if rate is None else Price(cost_per_second=_rate(rate))


def _by_piece(entry: Mapping[str, Any], provider: str) -> dict[str, float]:
    """Give the price of a search, of which some providers make several in a call."""
    prices: Any = entry.get(_SEARCH)
    if isinstance(prices, Mapping):
        prices = cast("Mapping[str, Any]", prices).get(f"search_context_size_{_SIZES.get(provider, 'medium')}")
    return {} if prices is None else {"search_cost_per_query": _rate(prices)}


def _with_off_peak(price: Price, block: Mapping[str, Any] | None) -> Price:
    """Give a price its quiet hours: their rates stand for the whole call, however long its prompt is."""
    if block is None:
        return price
    windows = [(None, block.get("hours_utc")), *((rule.get("weekdays"), rule["hours_utc"]) for rule in _rules(block))]
    hours = OffPeakHours(
        windows=tuple(
            Window(*_minutes(text), tuple(days or ()))
            for days, texts in windows
            for text in ([texts] if isinstance(texts, str) else texts or ())
        ),
        timezone=block.get("weekday_timezone") or "UTC",
    )
    quiet = _rates(block, (*_STEPPED, _REASONING))
    low = msgspec.structs.replace(price, **quiet, above_tokens=None, above=None, service_tiers={})
    return msgspec.structs.replace(price, off_peak=OffPeak(hours=hours, price=low))


def _rules(block: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return block.get("windows") or []


def _minutes(window: str) -> tuple[int, int]:
    """Give `16:30-00:30` as minutes after midnight."""
    start, end = (int(time[:2]) * 60 + int(time[3:5]) for time in window.split("-"))
    return start, end
