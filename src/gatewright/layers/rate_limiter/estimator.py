"""How many tokens a call will take, before it is sent: the prompt counted roughly, the output learned."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from gatewright.types.requests import EmbedRequest, GenerateRequest, Message, Request

__all__ = ["OutputEstimator", "estimated_tokens", "prompt_tokens"]

# Roughly true of every tokenizer in use: English text, and everything else by its UTF-8 bytes.
CHARACTERS_PER_TOKEN = 4.0
ASCII_PER_TOKEN = 4
BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 4
# An image at medium detail, a minute of speech or a page of a file are all near this.
TOKENS_PER_ATTACHMENT = 800

UNKNOWN_OUTPUT = 256.0
# OpenAI's own bound on `n`: what asks for more is refused there, and is not to drain a shared limit until then.
MOST_ANSWERS = 128
SMALLEST_STEP = 0.05


def prompt_tokens(request: Request) -> int:
    """Estimate a request's prompt tokens from the length of its texts; images and files count a constant."""
    if isinstance(request, EmbedRequest):
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
    """A running quantile in one number, by stochastic approximation (Robbins and Monro, 1951) of the logarithm.

    The steps shrink to a twentieth and no further, so that it follows what changes; it stays within some 10 %. What a
    pair of tenant and model learns, the `model` alone learns too.
    """

    __slots__ = ("_step", "log", "model")

    def __init__(self, log: float, model: _Quantile | None = None) -> None:
        self.log = log
        self.model = model
        self._step = 1.0

    def add(self, log: float, quantile: float) -> None:
        one: _Quantile | None = self
        while one is not None:
            step = one._step
            if step > SMALLEST_STEP:
                one._step = step = max(SMALLEST_STEP, step / (1.0 + step))  # a half, a third, a quarter …
            if log > one.log:
                one.log += step * quantile
            elif log < one.log:
                one.log -= step * (1.0 - quantile)
            one = one.model


class OutputEstimator:
    """Learns the output's length per tenant and model: a `quantile` of what was seen, for at most `max_keys` pairs.

    What a pair has not shown yet is taken from the model's other tenants. The longest unused pair is forgotten.
    """

    __slots__ = ("_max_keys", "_quantile", "_seen")

    def __init__(self, quantile: float = 0.75, max_keys: int = 10_000) -> None:
        self._quantile = quantile
        self._max_keys = max_keys
        self._seen: OrderedDict[tuple[str | None, str] | str, _Quantile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def estimate(self, tenant: str | None, model: str, max_tokens: int | None = None) -> int:
        """Give the output tokens to reserve, never more than `max_tokens`."""
        known = self._seen.get((tenant, model)) or self._seen.get(model)
        expected = math.exp(known.log) if known is not None else UNKNOWN_OUTPUT
        return round(expected if max_tokens is None else max(0, min(expected, max_tokens)))

    def learn(self, tenant: str | None, model: str, output_tokens: int) -> None:
        """Take in what a completed call used."""
        log = math.log(output_tokens) if output_tokens > 1 else 0.0
        pair = (tenant, model)
        known = self._seen.get(pair)
        if known is not None:
            known.add(log, self._quantile)
            self._seen.move_to_end(pair)
            return
        of_model = self._seen.get(model)
        if of_model is None:
            of_model = self._keep(model, _Quantile(log))
        else:
            of_model.add(log, self._quantile)
            self._seen.move_to_end(model)
        self._keep(pair, _Quantile(log, of_model))

    def _keep(self, key: tuple[str | None, str] | str, new: _Quantile) -> _Quantile:
        if len(self._seen) >= self._max_keys:
            self._seen.popitem(last=False)
        self._seen[key] = new
        return new


def estimated_tokens(request: GenerateRequest, estimator: OutputEstimator, tenant: str | None) -> int:
    """Give the tokens to reserve for a request: its prompt, and for each of its `n` answers the expected output."""
    params = request.params
    if not params:
        return prompt_tokens(request) + estimator.estimate(tenant, request.model)
    asked = params.get("max_completion_tokens") or params.get("max_tokens")
    maximum = asked if isinstance(asked, int) else None
    answers = params.get("n")
    expected = estimator.estimate(tenant, request.model, maximum)
    number = min(answers, MOST_ANSWERS) if isinstance(answers, int) and answers > 0 else 1
    return prompt_tokens(request) + expected * number
