"""From the arguments of a method to a call."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, cast

from pydantic import BaseModel

from gatewright.clock import Clock
from gatewright.configuration.config import GatewayConfig
from gatewright.configuration.environment import configured_providers
from gatewright.errors import BadRequest
from gatewright.gateway.wishes import cache_wishes
from gatewright.pipeline.call import AS_CONFIGURED, Call, CallOptions, new_id
from gatewright.providers.catalogue import USUAL_EMBEDDINGS, USUAL_MODELS, provider_name
from gatewright.types.caller import ANONYMOUS, Caller
from gatewright.types.messages import messages_of
from gatewright.types.requests import EmbedRequest, GenerateRequest, Message
from gatewright.types.schemas import response_format_of

__all__ = ["CallMaker", "MadeCall"]

_CACHE = frozenset({"cache", "cache_ttl"})
_OPTIONS = frozenset({"timeout", "max_retries", "fallbacks", "drop_params", "continue_streams", "deduplicate"}) | _CACHE
_CALLER = frozenset({"session", "tags", "key_id", "agent_id"})
_OWN = _OPTIONS | _CALLER


MadeCall = tuple[Call, type[BaseModel] | None]
"""A call, and the class that its answer is to be read as."""
_NOTHING_OWN: dict[str, Any] = {}


class CallMaker:
    """Makes calls of one configuration; bad input is a `BadRequest` that names it."""

    def __init__(self, config: GatewayConfig, clock: Clock) -> None:
        self._config = config
        self._now = clock.now
        self._timeout = config.timeout
        self._default_model = config.default_model or _usual(USUAL_MODELS, config)
        self._default_embedding = config.default_embedding_model or _usual(USUAL_EMBEDDINGS, config)

    def generation(
        self,
        prompt: str | Sequence[Message] | None,
        model: str | None,
        messages: Sequence[Message] | None,
        tenant_id: str | None,
        params: dict[str, Any],
        *,
        stream: bool = False,
    ) -> MadeCall:
        """Make a call for text."""
        own = _NOTHING_OWN if _OWN.isdisjoint(params) else _taken_out(params)
        params.pop("stream", None)
        parse_as = _parse_as(params) if "response_format" in params else None
        request = GenerateRequest(
            model=self._model(model, self._default_model, "default_model"),
            messages=messages_of(prompt, messages),
            params=_said(params),
        )
        return self._call(request, tenant_id, own, stream=stream), parse_as

    def completion(
        self, prompt: Any, model: str | None, tenant_id: str | None, params: dict[str, Any], *, stream: bool = False
    ) -> Call:
        """Make a call of the legacy completions, whose prompt may be texts or token arrays."""
        if not isinstance(prompt, str | list) or not prompt:
            raise BadRequest("prompt: give a text, a list of texts, or tokens", param="prompt")
        own = _NOTHING_OWN if _OWN.isdisjoint(params) else _taken_out(params)
        params.pop("stream", None)
        request = GenerateRequest(
            model=self._model(model, self._default_model, "default_model"),
            style="text",
            prompt=cast("str | list[str]", prompt),
            params=_said(params),
        )
        return self._call(request, tenant_id, own, stream=stream)

    def embedding(
        self, texts: str | Sequence[Any], model: str | None, tenant_id: str | None, params: dict[str, Any]
    ) -> Call:
        """Make a call for vectors; one text is a list of one."""
        own = _NOTHING_OWN if _OWN.isdisjoint(params) else _taken_out(params)
        default = self._default_embedding or self._config.default_model
        request = EmbedRequest(
            model=self._model(model, default, "default_embedding_model"),
            inputs=_inputs(texts),
            params=_said(params),
        )
        return self._call(request, tenant_id, own)

    def _model(self, model: str | None, default: str | None, setting: str) -> str:
        model = model or default
        if not model:
            raise BadRequest(f"model: name one, or configure {setting}", param="model")
        if not isinstance(model, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequest(f"model: expected a name, got {type(model).__name__}", param="model")
        return model

    def _call(
        self,
        request: GenerateRequest | EmbedRequest,
        tenant_id: str | None,
        own: dict[str, Any],
        *,
        stream: bool = False,
    ) -> Call:
        now = self._now()
        timeout = _timeout(own["timeout"]) if "timeout" in own else self._timeout
        anonymous = tenant_id is None and not own and "user" not in request.params
        return Call(
            request=request,
            id=new_id(),
            started_at=now,
            caller=ANONYMOUS if anonymous else _caller(tenant_id, request.params.get("user"), own),
            deadline=None if timeout is None else now + timeout,
            stream=stream,
            options=_options(own) if own else AS_CONFIGURED,
        )


def _usual(models: Mapping[str, str], config: GatewayConfig) -> str | None:
    """Give the usual model of the first provider that has one.

    Where the configuration names neither providers nor models, those count whose well-known key is in the environment.
    """
    if not config.providers and (config.model_list or config.default_model):
        return None
    named = map(provider_name, config.providers or configured_providers(os.environ))
    return next((f"{name}/{models[name]}" for name in named if name in models), None)


def _taken_out(params: dict[str, Any]) -> dict[str, Any]:
    """Take what is the gateway's out of the parameters."""
    return {name: params.pop(name) for name in _OWN.intersection(params)}


def _said(params: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None; the usual parameters, where nothing is, are the caller's own copy already."""
    if NoneType in map(type, params.values()):
        return {name: value for name, value in params.items() if value is not None}
    return params


def _caller(tenant_id: str | None, user: Any, own: Mapping[str, Any]) -> Caller:
    if tenant_id is not None and (not isinstance(tenant_id, str) or not tenant_id):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest("tenant_id: expected a text that is not empty", param="tenant_id")
    user = user if isinstance(user, str) else None
    if not own:
        return Caller(tenant_id=tenant_id, user=user)
    return Caller(
        tenant_id=tenant_id,
        user=user,
        session=_text(own, "session"),
        key_id=_text(own, "key_id"),
        agent_id=_text(own, "agent_id"),
        tags=_tags(own.get("tags")),
    )


def _text(own: Mapping[str, Any], name: str) -> str | None:
    value = own.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name}: expected a text, got {type(value).__name__}", param=name)
    return value


def _tags(tags: Any) -> tuple[str, ...]:
    if tags is None:
        return ()
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise BadRequest(f"tags: expected a list of texts, got {type(cast(object, tags)).__name__}", param="tags")
    listed = tuple(cast("Iterable[Any]", tags))
    if not all(isinstance(tag, str) for tag in listed):
        raise BadRequest("tags: expected a list of texts", param="tags")
    return listed


def _options(own: Mapping[str, Any]) -> CallOptions:
    retries = own.get("max_retries")
    if retries is not None and (not isinstance(retries, int) or isinstance(retries, bool) or retries < 0):
        raise BadRequest(f"max_retries: expected a number, zero or more, got {retries!r}", param="max_retries")
    fallbacks = own.get("fallbacks")
    if isinstance(fallbacks, str) or not (
        fallbacks is None or (isinstance(fallbacks, Sequence) and all(isinstance(one, str) for one in fallbacks))  # pyright: ignore[reportUnknownVariableType]
    ):
        raise BadRequest("fallbacks: expected a list of model names", param="fallbacks")
    return CallOptions(
        max_retries=retries,
        fallbacks=None if fallbacks is None else tuple(cast("Sequence[str]", fallbacks)),
        drop_params=_switch(own, "drop_params"),
        continue_streams=_switch(own, "continue_streams"),
        deduplicate=_switch(own, "deduplicate"),
        cache=cache_wishes(own),
    )


def _switch(own: Mapping[str, Any], name: str) -> bool | None:
    value = own.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{name}: expected True or False, got {value!r}", param=name)
    return value


def _timeout(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise BadRequest(f"timeout: expected seconds above zero, got {value!r}", param="timeout")
    return float(value)


def _parse_as(params: dict[str, Any]) -> type[BaseModel] | None:
    wanted = params.get("response_format")
    if wanted is None or isinstance(wanted, Mapping):
        return None
    if not (isinstance(wanted, type) and issubclass(wanted, BaseModel)):
        raise BadRequest(
            f'response_format: expected a Pydantic class or OpenAI\'s {{"type": …}}, got {wanted!r}',
            param="response_format",
        )
    params["response_format"] = response_format_of(wanted)
    return wanted


def _inputs(texts: Any) -> Sequence[Any]:
    if isinstance(texts, str):
        return (texts,)
    if not isinstance(texts, Sequence) or isinstance(texts, bytes):
        raise BadRequest(f"texts: expected a text or a list of texts, got {type(texts).__name__}", param="texts")
    inputs = cast("Sequence[Any]", texts)
    for place, one in enumerate(inputs):
        if not (isinstance(one, str) or _is_tokens(one)):
            raise BadRequest(f"texts[{place}]: expected a text, got {type(one).__name__}", param=f"texts[{place}]")
    return inputs


def _is_tokens(one: Any) -> bool:
    return isinstance(one, list) and all(type(token) is int for token in cast("list[Any]", one))
