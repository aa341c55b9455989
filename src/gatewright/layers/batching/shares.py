"""What each caller of a batch has of it: its vectors, and its part of the tokens and the cost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from gatewright.types.estimates import prompt_tokens
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Embeddings
from gatewright.types.usage import Usage

__all__ = ["shares_of"]


def shares_of(whole: Embeddings, requests: Sequence[EmbedRequest]) -> list[Embeddings]:
    """Give each request its own part; the parts' tokens and costs add up to the whole's."""
    ends = list(itertools.accumulate(len(request.inputs) for request in requests))
    starts = [0, *ends[:-1]]
    tokens = _divided(whole.usage.prompt_tokens, [max(1, prompt_tokens(request)) for request in requests])
    total = sum(tokens) or 1
    return [
        msgspec.structs.replace(
            whole,
            vectors=whole.vectors[start:end],
            usage=Usage(prompt_tokens=count, total_tokens=count, source=whole.usage.source),
            cost_usd=None if whole.cost_usd is None else whole.cost_usd * count / total,
        )
        for start, end, count in zip(starts, ends, tokens, strict=True)
    ]


def _divided(total: int, weights: Sequence[int]) -> list[int]:
    """Divide `total` by weight into whole numbers that add up to it: each gets what is new up to its end."""
    sum_of_weights = sum(weights)
    ends = [total * so_far // sum_of_weights for so_far in itertools.accumulate(weights)]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
