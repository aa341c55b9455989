from __future__ import annotations

import importlib
import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import ConfigurationError
from gatewright.llmops.pricing import PriceCatalogue, catalogue, price_from_settings
from gatewright.types.usage import Price, Usage

ROOT = Path(__file__).parents[2]
FILE = ROOT / "src" / "gatewright" / "llmops" / "prices.json"


@pytest.fixture(scope="module")
def prices() -> PriceCatalogue:
    return catalogue()


def needs_litellm() -> None:
    if importlib.util.find_spec("litellm") is None:
        assert os.environ.get("CI") != "true", "litellm must be installed in CI"
        pytest.skip("litellm is not installed: uv sync --all-extras")


def test_the_file_is_what_the_script_makes_of_the_locked_litellm() -> None:
    needs_litellm()
    script = runpy.run_path(str(ROOT / "scripts" / "update_prices.py"))
    assert script["rendered"]() == FILE.read_text("utf-8"), "run scripts/update_prices.py and commit the file"


def test_the_file_is_small_and_read_once_and_only_when_asked() -> None:
    assert FILE.stat().st_size < 500_000
    assert catalogue() is catalogue()
    code = (
        "import sys, gatewright.llmops.pricing as p; assert not p.catalogue.cache_info().currsize;"
        "p.catalogue(); assert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("provider", "model", "same_as"),
    [
        ("openai", "gpt-4o", ("openai", "openai/gpt-4o")),
        (None, "gpt-4o", ("openai", "gpt-4o")),
        (None, "openai/gpt-4o", ("openai", "gpt-4o")),
        (None, "nobody/gpt-4o", None),
        ("openai", "gpt-4o-2024-08-06", (None, "gpt-4o-2024-08-06")),
        ("azure", "gpt-4o", (None, "azure/gpt-4o")),
        ("gemini", "gemini-2.5-flash", (None, "gemini/gemini-2.5-flash")),
        ("vertex_ai", "gemini-2.5-pro", (None, "gemini-2.5-pro")),
        ("mistral", "mistral-large-latest", (None, "mistral/mistral-large-latest")),
        ("anthropic", "claude-haiku-4-5", ("anthropic", "anthropic/claude-haiku-4-5")),
        ("groq", "openai/gpt-oss-120b", (None, "groq/openai/gpt-oss-120b")),
        ("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0", (None, "anthropic.claude-haiku-4-5-20251001-v1:0")),
        (
            "bedrock",
            "bedrock/converse/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            (None, "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ),
        (
            "bedrock",
            "ca.anthropic.claude-haiku-4-5-20251001-v1:0",
            (None, "anthropic.claude-haiku-4-5-20251001-v1:0"),
        ),
        ("openai", "ft:gpt-4o-2024-08-06:me::id", (None, "ft:gpt-4o-2024-08-06")),
        ("openai", "gpt-3.5-turbo-instruct", (None, "gpt-3.5-turbo-instruct")),
        ("groq", "gpt-4o", None),
        ("openai", "no-such-model", None),
    ],
)
def test_models_are_found_by_every_form_of_their_name(
    prices: PriceCatalogue, provider: str | None, model: str, same_as: tuple[str | None, str] | None
) -> None:
    found = prices.find(provider, model)
    if same_as is None:
        assert found is None
    else:
        assert found is not None
        assert found == prices.find(*same_as)
        assert found.input_cost_per_token > 0


def test_models_are_listed_with_their_windows(prices: PriceCatalogue) -> None:
    everything = list(prices.models())
    assert len(everything) > 3000
    assert [entry.model for entry in everything] == sorted(entry.model for entry in everything)
    [entry] = [entry for entry in prices.models("openai") if entry.model == "gpt-4o"]
    assert (entry.provider, entry.mode, entry.max_input_tokens, entry.max_output_tokens) == (
        "openai",
        "chat",
        128_000,
        16_384,
    )
    assert entry.price == prices.find("openai", "gpt-4o")
    assert {entry.provider for entry in prices.models("bedrock")} == {"bedrock", "bedrock_converse"}


def test_what_is_not_sold_by_the_token_has_no_price(prices: PriceCatalogue) -> None:
    unpriced = [entry for entry in prices.models() if entry.price is None]
    assert unpriced
    assert all(prices.find(None, entry.model) is None for entry in unpriced)


LITELLM_SAYS = [
    ("openai", "gpt-4o", "gpt-4o"),
    ("openai", "gpt-4o-mini", "gpt-4o-mini"),
    ("openai", "o3", "o3"),
    ("azure", "gpt-4o", "azure/gpt-4o"),
    ("anthropic", "claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
    ("anthropic", "claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
    ("gemini", "gemini-2.5-flash", "gemini/gemini-2.5-flash"),
    ("gemini", "gemini-2.5-pro", "gemini/gemini-2.5-pro"),
    ("vertex_ai", "gemini-2.5-pro", "vertex_ai/gemini-2.5-pro"),
    ("mistral", "mistral-large-latest", "mistral/mistral-large-latest"),
    ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
    ("xai", "grok-4.3", "xai/grok-4.3"),
    ("dashscope", "qwen-flash", "dashscope/qwen-flash"),
    ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0"),
    ("fireworks_ai", "accounts/fireworks/models/kimi-k2p5", "fireworks_ai/accounts/fireworks/models/kimi-k2p5"),
]
USAGES = [
    Usage(prompt_tokens=1200, completion_tokens=340),
    Usage(prompt_tokens=1200, completion_tokens=340, cached_tokens=1000),
    Usage(prompt_tokens=5000, completion_tokens=90, cached_tokens=1000, cache_write_tokens=2000),
    Usage(prompt_tokens=900, completion_tokens=700, reasoning_tokens=600),
    Usage(prompt_tokens=200_000, completion_tokens=10, cached_tokens=50_000),
    Usage(prompt_tokens=300_000, completion_tokens=1000, cached_tokens=100_000),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("provider", "model", "theirs"), LITELLM_SAYS)
def test_costs_are_litellms_own(
    prices: PriceCatalogue, monkeypatch: pytest.MonkeyPatch, provider: str, model: str, theirs: str
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    needs_litellm()
    litellm: Any = importlib.import_module("litellm")
    price = prices.find(provider, model)
    assert price is not None
    for usage in USAGES:
        reply = litellm.ModelResponse(model=theirs, usage=litellm_usage(litellm, usage))
        expected = litellm.completion_cost(completion_response=reply, model=theirs)
        assert price.cost(usage) == pytest.approx(expected, rel=1e-9), usage


def litellm_usage(litellm: Any, usage: Usage) -> Any:
    details = {"cached_tokens": usage.cached_tokens, "cache_creation_tokens": usage.cache_write_tokens}
    return litellm.Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=details,
        completion_tokens_details={"reasoning_tokens": usage.reasoning_tokens} if usage.reasoning_tokens else None,
    )


BASE = Price(input_cost_per_token=1e-6, max_input_tokens=1000, above_tokens=100, above=Price(input_cost_per_token=2e-6))


@pytest.mark.parametrize(
    ("settings", "base", "expected"),
    [
        ({}, None, None),
        ({}, BASE, BASE),
        ({"mode": "chat", "input_cost_per_token": None}, BASE, BASE),
        ({"max_input_tokens": 5}, None, None),
        ({"input_cost_per_token": "3e-6"}, None, Price(input_cost_per_token=3e-6)),
        (
            {"output_cost_per_token": 4e-6, "max_output_tokens": 9},
            BASE,
            Price(input_cost_per_token=1e-6, output_cost_per_token=4e-6, max_input_tokens=1000, max_output_tokens=9),
        ),
    ],
)
def test_a_deployments_own_prices_stand_over_the_catalogues(
    settings: dict[str, Any], base: Price | None, expected: Price | None
) -> None:
    assert price_from_settings(settings, base) == expected


def test_limits_alone_keep_the_rest() -> None:
    price = price_from_settings({"max_input_tokens": 5}, BASE)
    assert price is not None
    assert (price.max_input_tokens, price.above, price.input_cost_per_token) == (5, BASE.above, 1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_cost_per_token", -1e-6),
        ("input_cost_per_token", float("nan")),
        ("output_cost_per_token", "cheap"),
        ("output_cost_per_token", True),
        ("cache_read_input_token_cost", float("inf")),
        ("max_input_tokens", 0),
        ("max_output_tokens", "many"),
    ],
)
def test_a_wrong_price_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        price_from_settings({name: value}, None)
    assert caught.value.param == name
