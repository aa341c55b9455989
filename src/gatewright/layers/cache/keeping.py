"""Which answers are worth keeping, and keeping them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from gatewright.layers.cache.answers import answer_data
from gatewright.layers.cache.asked import Asked, Model
from gatewright.layers.cache.mechanism import CacheMechanism
from gatewright.pipeline.reply import Outcome
from gatewright.types.configuration import mapping
from gatewright.types.requests import GenerateRequest
from gatewright.types.results import Answer, Choice, Embeddings

__all__ = ["Keeper", "is_worth_keeping"]

log = logging.getLogger("gatewright.cache")

# None is of providers that do not say; what they cut off they do say.
_ENDED_WELL = frozenset({"stop", "tool_calls", None})


class Keeper:
    """Keeps what answered a call, for `ttl` seconds unless the call says otherwise.

    `is_known` tells the id of a deployment of this gateway from any other: one that is known, and not the model's, is a
    fallback's, whose answer is not what was asked for once the model is well again.
    """

    def __init__(self, cache: CacheMechanism, ttl: float, is_known: Callable[[str], bool]) -> None:
        self._cache = cache
        self._ttl = ttl
        self._is_known = is_known

    def seconds(self, asked: Asked) -> float:
        """Give how long an answer is kept."""
        return asked.wishes.ttl or self._ttl

    def settled(self, asked: Asked, seconds: float, outcome: Outcome[Any]) -> None:
        """Keep an answer that ended well and had taken `seconds`; nobody waits for a store that is slow."""
        answer = outcome.value
        if outcome.state != "completed" or not is_worth_keeping(asked.call.generation, answer):
            return
        if not self.is_of(asked.model, answer):
            return
        data = answer_data(answer, seconds)
        if data is None or len(data) > self._cache.config.max_value_bytes:
            log.debug("an answer of %s is not kept: it is too large, or cannot be written", answer.model)
            return
        self._cache.keep_soon({asked.key: self._cache.item(data, self.seconds(asked))}, asked.tenant)

    def is_of(self, model: Model, answer: Answer | Embeddings) -> bool:
        """Whether it was the model itself that answered, not a fallback."""
        id_ = answer.deployment_id
        return id_ in model.deployments or not id_ or not self._is_known(id_)


def is_worth_keeping(request: GenerateRequest, answer: Answer) -> bool:
    """Whether an answer is complete and what was asked for: not cut off, not filtered, not empty, JSON where asked."""
    choices = answer.choices
    if not choices or not all(choice.finish_reason in _ENDED_WELL and _says_something(choice) for choice in choices):
        return False
    wanted = mapping(request.params.get("response_format"))
    if wanted is None or wanted.get("type") not in ("json_object", "json_schema"):
        return True
    return all(choice.tool_calls or choice.refusal or _is_json(choice.text) for choice in choices)


def _says_something(choice: Choice) -> bool:
    return bool(choice.text or choice.tool_calls or choice.refusal or choice.audio or choice.extra)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return False
    return True
