"""The cheapest question to a deployment: does it answer at all?"""

from __future__ import annotations

import asyncio
from typing import Any

from gatewright.errors import ProviderTimeout
from gatewright.pipeline.call import Call, new_id
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest

__all__ = ["probe_of", "within"]

_EMBEDDING_WORDS = ("embed", "minilm", "bge-", "e5-")


def probe_of(deployment: Deployment, now: float) -> Call:
    """Make a call for one token, or for one vector where the deployment gives vectors."""
    return Call(request=_question(deployment), id=new_id(), started_at=now)


def within(seconds: float, ask: Handler) -> Handler:
    """Give up after so many seconds, as the provider's fault: this is no caller who is in a hurry."""

    async def asked(call: Call, /) -> Reply[Any, Any]:
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                return await ask(call)
        except TimeoutError:
            if not timer.expired():
                raise
            raise ProviderTimeout(f"no answer to a check within {seconds:g} s") from None

    return asked


def _question(deployment: Deployment) -> GenerateRequest | EmbedRequest:
    if _embeds(deployment):
        return EmbedRequest(model=deployment.group, inputs=("ping",))
    messages = ({"role": "user", "content": "ping"},)
    return GenerateRequest(model=deployment.group, messages=messages, params={"max_tokens": 1})


def _embeds(deployment: Deployment) -> bool:
    """Tell by the catalogue, else by the model's name."""
    if deployment.price is not None and deployment.price.mode != "chat":
        return deployment.price.mode == "embedding"
    return any(word in deployment.model.lower() for word in _EMBEDDING_WORDS)
