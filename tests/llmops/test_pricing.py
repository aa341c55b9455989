from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from gatewright.llmops.pricing import PriceCatalogue, catalogue

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
    assert FILE.stat().st_size < 700_000
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


def test_what_has_no_price_in_the_map_has_none_here(prices: PriceCatalogue) -> None:
    unpriced = [entry for entry in prices.models() if entry.price is None]
    assert unpriced
    assert all(prices.find(None, entry.model) is None for entry in unpriced)
