"""What is asked: for text, or for embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, final

import msgspec

__all__ = ["EmbedRequest", "GenerateRequest", "Message", "Request"]

Message = dict[str, Any]
"""A chat message in the OpenAI form: `role`, `content` (text or a list of parts), `tool_calls`, `tool_call_id` …"""


@final
class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request for text.

    `params` are the caller's parameters by their OpenAI names, and the provider's own beside them. `style`
    is `"chat"`, or `"text"` for the legacy completions, whose prompt is `prompt` (texts or token arrays).
    """

    model: str
    messages: Sequence[Message] = ()
    params: dict[str, Any] = {}
    style: Literal["chat", "text"] = "chat"
    prompt: str | list[str] | list[int] | list[list[int]] | None = None


@final
class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request for one vector for each of `inputs`, in their order; an input is a text or a list of token ids."""

    model: str
    inputs: Sequence[str | list[int]]
    params: dict[str, Any] = {}


# On the hot path these are told apart by `type(request) is …`: a struct's class is an abstract one, whose `isinstance`
# takes five times as long to say no.
Request = GenerateRequest | EmbedRequest
