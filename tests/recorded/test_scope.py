"""Every recorded exchange is replayed, or there is a reason why not."""

from __future__ import annotations

from collections import Counter

from recorded.differences import DIRECT, LITELLM
from recorded.exchanges import recorded, replayed, why_not


def test_every_exchange_is_replayed_or_has_a_reason_not_to_be() -> None:
    left = [exchange for exchange in recorded() if not exchange.format]
    assert [exchange.key for exchange in left if why_not(exchange) is None] == []
    assert len(replayed()) + len(left) == len(recorded()) == 1234


def test_most_of_what_asks_for_text_is_replayed() -> None:
    providers = Counter(exchange.provider for exchange in replayed())
    assert sum(providers.values()) > 800
    assert min(providers[name] for name in ("anthropic", "bedrock", "cohere", "gemini", "mistral", "openai")) > 40


def test_known_differences_name_replayed_exchanges() -> None:
    assert {*LITELLM, *DIRECT} <= {exchange.key for exchange in replayed()}
