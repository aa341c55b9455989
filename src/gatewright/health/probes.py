"""The cheapest question to a deployment: does it answer at all?"""

from __future__ import annotations

from gatewright.pipeline.call import Call, new_id
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest

__all__ = ["probe_of"]

_EMBEDDING_WORDS = ("embed", "minilm", "bge-", "e5-")


def probe_of(deployment: Deployment, now: float) -> Call:
    """Make a call for one token, or for one vector where the deployment gives vectors."""
    return Call(request=_question(deployment), id=new_id(), started_at=now)


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
