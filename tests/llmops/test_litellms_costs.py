"""Costs are `litellm.completion_cost`'s, for every chat and embedding model of its map on a grid of usages."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import pytest

from gatewright.llmops.pricing import CatalogueEntry, catalogue
from gatewright.types.usage import Price, Usage, UsageDetails
from llmops.cost_differences import DIFFERENCES, NOT_PRICED_BY_LITELLM, PRICED_WITHOUT_THE_MAP, Difference

GRID = {
    "plain": Usage(prompt_tokens=1200, completion_tokens=340),
    "no answer": Usage(prompt_tokens=1200, completion_tokens=0),
    "cached": Usage(prompt_tokens=1200, completion_tokens=340, cached_tokens=1000),
    "written": Usage(prompt_tokens=5000, completion_tokens=90, cached_tokens=1000, cache_write_tokens=2000),
    "written-1h": Usage(prompt_tokens=5000, completion_tokens=90, cache_write_tokens=2000, cache_write_1h_tokens=1500),
    "reasoning": Usage(prompt_tokens=900, completion_tokens=700, reasoning_tokens=600),
    "audio": Usage(
        prompt_tokens=900,
        completion_tokens=700,
        details=UsageDetails(prompt_audio_tokens=300, completion_audio_tokens=500),
    ),
    "audio-cached": Usage(
        prompt_tokens=900,
        completion_tokens=700,
        cached_tokens=400,
        details=UsageDetails(prompt_audio_tokens=300, cached_audio_tokens=200),
    ),
    "image": Usage(
        prompt_tokens=900,
        completion_tokens=700,
        details=UsageDetails(prompt_image_tokens=258, completion_image_tokens=600),
    ),
    "video": Usage(prompt_tokens=900, completion_tokens=700, details=UsageDetails(prompt_video_tokens=258)),
}
for tokens in (32_000, 100_000, 128_000, 200_000, 256_000, 272_000, 512_000):
    GRID[f"up to {tokens}"] = Usage(prompt_tokens=tokens, completion_tokens=1000)
    GRID[f"long {tokens}"] = Usage(
        prompt_tokens=tokens + 1,
        completion_tokens=1000,
        cached_tokens=20_000,
        cache_write_tokens=5000,
        cache_write_1h_tokens=100,
        reasoning_tokens=300,
    )
TIERS = ("flex", "priority", "balanced", "ultrafast")
# Each model is asked about a quarter of the grid, another one than its neighbours; all of it takes two minutes.
PART = 1 if os.environ.get("GATEWRIGHT_WHOLE_GRID") else 4


@pytest.fixture(scope="module")
def litellm() -> Iterator[Any]:
    if importlib.util.find_spec("litellm") is None:
        assert os.environ.get("CI") != "true", "litellm must be installed in CI"
        pytest.skip("litellm is not installed: uv sync --all-extras")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        module: Any = importlib.import_module("litellm")
        patch.setattr(module, "suppress_debug_info", True)
        logging.disable(logging.CRITICAL)
        yield module
        logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
def test_costs_are_litellms_own_but_for_the_listed_differences(litellm: Any) -> None:
    unexplained: list[str] = []
    compared = 0
    for place, entry in enumerate(catalogue().models()):
        if entry.price is None or any(entry.model in models for models in NOT_PRICED_BY_LITELLM.values()):
            continue
        provider, price = _at_runtime(entry)
        for name, usage in _asked(place, price):
            compared += 1
            theirs, ours = _theirs(litellm, entry, provider, usage), price.cost(usage)
            if not _differ(ours, theirs):
                continue
            if not any(_covers(listed, entry.model, name) for listed in DIFFERENCES.values()):
                unexplained.append(f"{entry.model} {name}: {theirs} of litellm's, {ours} of ours")
    assert not unexplained, "\n".join(unexplained[:30])
    assert compared > 25_000


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reason", list(DIFFERENCES))
def test_a_listed_difference_is_still_one(litellm: Any, reason: str) -> None:
    listed = DIFFERENCES[reason]
    differing: set[str] = set()
    for entry in catalogue().models():
        if entry.price is None or not any(fnmatchcase(entry.model, one) for one in listed.models):
            continue
        provider, price = _at_runtime(entry)
        usages = [(name, usage) for name, usage in _all(price) if _covers(listed, entry.model, name)]
        if any(_differ(price.cost(usage), _theirs(litellm, entry, provider, usage)) for _, usage in usages):
            differing.add(entry.model)
    assert len(differing) == listed.count, reason


@pytest.mark.filterwarnings("ignore")
def test_what_the_map_has_no_price_for_is_free_to_litellm_and_unknown_to_us(litellm: Any) -> None:
    unpriced = [entry for entry in catalogue().models() if entry.price is None]
    assert len(unpriced) > 50
    for entry in unpriced:
        theirs = _theirs(litellm, entry, _provider(entry.provider), GRID["plain"])
        assert (theirs != 0.0) == any(entry.model in models for models in PRICED_WITHOUT_THE_MAP.values()), entry.model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", [model for models in NOT_PRICED_BY_LITELLM.values() for model in models])
def test_what_litellm_cannot_price_itself(litellm: Any, model: str) -> None:
    [entry] = [entry for entry in catalogue().models() if entry.model == model]
    assert entry.price is not None
    with pytest.raises(Exception, match="mapped yet"):
        _theirs(litellm, entry, _provider(entry.provider), GRID["plain"])


@pytest.mark.filterwarnings("ignore")
def test_batches_cost_what_litellm_bills_for_them(litellm: Any) -> None:
    calculator: Any = importlib.import_module("litellm.cost_calculator")
    compared = 0
    for entry in catalogue().models():
        provider, price = _at_runtime(entry)
        if "batch" not in price.service_tiers:
            continue
        for name in ("plain", "cached", "written", "reasoning", "audio", "up to 200000", "long 272000"):
            usage = msgspec.structs.replace(GRID[name], service_tier="batch")
            theirs = sum(calculator.batch_cost_calculator(_as_litellms(litellm, usage), entry.model, provider))
            assert price.cost(usage) == pytest.approx(theirs, rel=1e-9), (entry.model, name)
            compared += 1
    assert compared > 500


def _asked(place: int, price: Price) -> Iterator[tuple[str, Usage]]:
    """Give a model's part of the grid, in each service tier that it is sold in."""
    parts = {name for number, name in enumerate(GRID) if (place + number) % PART == 0}
    return ((name, usage) for name, usage in _all(price) if name.split("@")[0] in parts)


def _all(price: Price) -> Iterator[tuple[str, Usage]]:
    for name, usage in GRID.items():
        yield name, usage
        for tier in TIERS if price.service_tiers else ():
            yield f"{name}@{tier}", msgspec.structs.replace(usage, service_tier=tier)


def _differ(one: float, other: float) -> bool:
    return one != pytest.approx(other, rel=1e-9, abs=1e-15)


def _at_runtime(entry: CatalogueEntry) -> tuple[str, Price]:
    """Give litellm's provider of an entry, and the price that the gateway finds there for the entry's name."""
    provider = _provider(entry.provider)
    return provider, catalogue().find(provider, entry.model) or entry.price or Price()


def _provider(name: str) -> str:
    """Give the provider that is asked: the map splits some by the kind of model or of interface."""
    name = {"bedrock_converse": "bedrock", "azure_text": "azure"}.get(name, name)
    return "vertex_ai" if name.startswith("vertex_ai-") else name


def _theirs(litellm: Any, entry: CatalogueEntry, provider: str, usage: Usage) -> float:
    answer = litellm.EmbeddingResponse if entry.mode == "embedding" else litellm.ModelResponse
    return litellm.completion_cost(
        completion_response=answer(model=entry.model, usage=_as_litellms(litellm, usage)),
        model=entry.model,
        custom_llm_provider=provider,
        service_tier=usage.service_tier,
    )


def _as_litellms(litellm: Any, usage: Usage) -> Any:
    types = litellm.types.utils
    details = usage.details or UsageDetails()
    before = types.PromptTokensDetailsWrapper(
        cached_tokens=usage.cached_tokens,
        cache_creation_tokens=usage.cache_write_tokens,
        audio_tokens=details.prompt_audio_tokens,
        image_tokens=details.prompt_image_tokens,
        video_tokens=details.prompt_video_tokens,
    )
    if usage.cache_write_1h_tokens:
        before.cache_creation_token_details = types.CacheCreationTokenDetails(
            ephemeral_5m_input_tokens=usage.cache_write_tokens - usage.cache_write_1h_tokens,
            ephemeral_1h_input_tokens=usage.cache_write_1h_tokens,
        )
    if details.cached_audio_tokens:
        before.cached_tokens_details = {"audio_tokens": details.cached_audio_tokens}
    after = types.CompletionTokensDetailsWrapper(
        reasoning_tokens=usage.reasoning_tokens,
        audio_tokens=details.completion_audio_tokens,
        image_tokens=details.completion_image_tokens,
    )
    return types.Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=before,
        completion_tokens_details=after,
    )


def _covers(listed: Difference, model: str, usage: str) -> bool:
    return any(fnmatchcase(model, one) for one in listed.models) and any(
        fnmatchcase(usage, one) for one in listed.usages
    )
