"""Where our cost is known to differ from `litellm.completion_cost`, and why: each is asserted to differ still.

What the map has no price for is not listed: litellm says 0.0 of all of it, we say that it is not known.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DIFFERENCES", "NOT_PRICED_BY_LITELLM", "PRICED_WITHOUT_THE_MAP", "Difference"]


class Difference(NamedTuple):
    """Patterns of names in the map and of the grid's usages, and how many models differ."""

    models: tuple[str, ...]
    usages: tuple[str, ...]
    count: int


DIFFERENCES: dict[str, Difference] = {
    "litellm bills all that Perplexity resells at the plain rates of input and output: it reads neither the map's "
    "rates for cached tokens, nor those for written ones, nor those for long prompts": Difference(
        ("perplexity/*",), ("cached*", "written*", "long*", "up to*", "audio-cached"), 59
    ),
    "litellm does not bill what Perplexity's old online models cost a request": Difference(
        ("perplexity/pplx-*-online", "perplexity/sonar-*-online"), ("*",), 4
    ),
    "litellm takes the doubled name for a slip, and bills Perplexity's other sonar": Difference(
        ("perplexity/perplexity/sonar",), ("*",), 1
    ),
    "litellm does not read the map's priority rates for Fireworks": Difference(
        ("fireworks_ai/*",), ("*@priority",), 44
    ),
    "litellm's look-up of a model drops the map's priority rates for audio": Difference(
        ("*gemini-*",), ("audio*@priority",), 15
    ),
    "litellm knows Together's size classes only by a model's name, and takes their own names for the smallest": (
        Difference(("together-ai-*",), ("*",), 5)
    ),
}

PRICED_WITHOUT_THE_MAP: dict[str, tuple[str, ...]] = {
    "litellm reads the size class of Together's model from its name": (
        "together_ai/togethercomputer/CodeLlama-34b-Instruct",
    ),
}

NOT_PRICED_BY_LITELLM: dict[str, tuple[str, ...]] = {
    "litellm raises ModelNotMappedError for its own entries of Azure's legacy completions": (
        "azure/gpt-3.5-turbo-instruct-0914",
        "azure/gpt-35-turbo-instruct",
        "azure/gpt-35-turbo-instruct-0914",
    ),
}
