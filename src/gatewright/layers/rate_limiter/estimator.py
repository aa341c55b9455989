"""How many tokens a call will take, before it is sent: the prompt counted roughly, the output learned."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from gatewright.types.requests import EmbedRequest, Message, Request

__all__ = ["OutputEstimator", "prompt_tokens"]

# Roughly true of every tokenizer in use: English text, and everything else by its UTF-8 bytes.
CHARACTERS_PER_TOKEN = 4.0
ASCII_PER_TOKEN = 4
BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 4
# An image at medium detail, a minute of speech or a page of a file are all near this.
TOKENS_PER_ATTACHMENT = 800

UNKNOWN_OUTPUT = 256.0
SMALLEST_STEP = 0.05


def prompt_tokens(request: Request) -> int:
    """Estimate a request's prompt tokens from the length of its texts; images and files count a constant."""
    if type(request) is EmbedRequest:
        return sum(len(item) if isinstance(item, list) else _text_tokens(item) for item in request.inputs)
    count = 0
    for message in request.messages:
        content: Any = message.get("content")
        if type(content) is str and "tool_calls" not in message and content.isascii():
            # The usual message, counted without a call.
            count += TOKENS_PER_MESSAGE + len(content) // ASCII_PER_TOKEN + 1
        else:
            count += _message_tokens(message)
    if request.prompt is not None:
        count += _raw_prompt_tokens(request.prompt)
    if tools := request.params.get("tools"):
        count += int(len(msgspec.json.encode(tools, enc_hook=repr)) / CHARACTERS_PER_TOKEN)
    return count


def _text_tokens(text: str) -> int:
    if text.isascii():
        return int(len(text) / CHARACTERS_PER_TOKEN) + 1
    return int(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN) + 1


def _message_tokens(message: Message) -> int:
    content: Any = message.get("content")
    count = TOKENS_PER_MESSAGE
    if isinstance(content, str):
        count += _text_tokens(content)
    elif isinstance(content, Sequence):
        count += sum(map(_part_tokens, content))  # pyright: ignore[reportUnknownArgumentType]
    if calls := message.get("tool_calls"):
        count += int(len(msgspec.json.encode(calls, enc_hook=repr)) / CHARACTERS_PER_TOKEN)
    return count


def _part_tokens(part: Any) -> int:
    if isinstance(part, str):
        return _text_tokens(part)
    text: Any = part.get("text") if isinstance(part, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return _text_tokens(text) if isinstance(text, str) else TOKENS_PER_ATTACHMENT


def _raw_prompt_tokens(prompt: str | list[str] | list[int] | list[list[int]] | None) -> int:
    if prompt is None:
        return 0
    if isinstance(prompt, str):
        return _text_tokens(prompt)
    return sum(
        1 if isinstance(item, int) else len(item) if isinstance(item, list) else _text_tokens(item) for item in prompt
    )


class _Quantile:
    """A running quantile in one number, by stochastic approximation (Robbins and Monro, 1951) of its logarithm.

    A step of the logarithm is a factor of what is `expected`. The steps shrink to a twentieth and no further, so that
    it follows what changes; it stays within some 10 %. What a pair of tenant and model learns, the `model` learns too.
    """

    __slots__ = ("expected", "model", "step")

    def __init__(self, expected: float, model: _Quantile | None = None) -> None:
        self.expected = expected
        self.model = model
        self.step = 1.0


class OutputEstimator:
    """Learns the output's length per tenant and model: a `quantile` of what was seen, for at most `max_keys` pairs.

    What a pair has not shown yet is taken from the model's other tenants. The longest unused pair is forgotten.
    """

    __slots__ = ("_down", "_many", "_max_keys", "_quantile", "_seen", "_up")

    def __init__(self, quantile: float = 0.75, max_keys: int = 10_000) -> None:
        self._quantile = quantile
        self._up, self._down = _factors(SMALLEST_STEP, quantile)
        self._max_keys = max_keys
        self._many = max_keys // 2  # from which on it matters who was used last
        self._seen: OrderedDict[tuple[str | None, str] | str, _Quantile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def estimate(self, tenant: str | None, model: str, max_tokens: int | None = None) -> int:
        """Give the output tokens to reserve, never more than `max_tokens`."""
        known = self._seen.get((tenant, model)) or self._seen.get(model)
        expected = UNKNOWN_OUTPUT if known is None else known.expected
        if max_tokens is None or max_tokens >= expected:
            return int(expected + 0.5)
        return max_tokens if max_tokens > 0 else 0

    def learn(self, tenant: str | None, model: str, output_tokens: int) -> None:
        """Take in what a completed call used."""
        seen = float(output_tokens) if output_tokens > 1 else 1.0
        pair = (tenant, model)
        known = self._seen.get(pair)
        if known is None:
            known = self._begin(pair, seen)
        elif len(self._seen) > self._many:
            self._seen.move_to_end(pair)
        while known is not None:
            up, down = self._up, self._down
            if known.step > SMALLEST_STEP:
                known.step = max(SMALLEST_STEP, known.step / (1.0 + known.step))  # a half, a third, a quarter …
                up, down = _factors(known.step, self._quantile)
            if seen > known.expected:
                known.expected *= up
            elif seen < known.expected:
                known.expected *= down
            known = known.model

    def _begin(self, pair: tuple[str | None, str], seen: float) -> _Quantile | None:
        """Keep what a pair showed first; gives what is known of the model, if it has something to learn from it."""
        model = pair[1]
        known = self._seen.get(model)
        if known is not None:
            self._seen.move_to_end(model)
        self._keep(pair, _Quantile(seen, known or self._keep(model, _Quantile(seen))))
        return known

    def _keep(self, key: tuple[str | None, str] | str, new: _Quantile) -> _Quantile:
        if len(self._seen) >= self._max_keys:
            self._seen.popitem(last=False)
        self._seen[key] = new
        return new


def _factors(step: float, quantile: float) -> tuple[float, float]:
    """Give what a step of the logarithm up and one down multiply by."""
    return math.exp(step * quantile), math.exp(step * (quantile - 1.0))
