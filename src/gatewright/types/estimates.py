"""Token counts by rule of thumb, for when a provider reports none; whatever is made of them says "estimated"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gatewright.types.requests import EmbedRequest, Request
from gatewright.types.usage import Usage

__all__ = ["CHARACTERS_A_TOKEN", "estimated_usage", "prompt_tokens", "text_tokens"]

CHARACTERS_A_TOKEN = 4
"""English text's usual ratio, as OpenAI documents it."""
TOKENS_A_MESSAGE = 4
"""What a chat template adds around a message (OpenAI's cookbook counts 3 and one for the role)."""
TOKENS_A_MEDIUM = 512
"""An image, a sound or a file: between a low-detail image (85) and a high-detail one (765 and more)."""


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text."""
    return (len(text) + CHARACTERS_A_TOKEN - 1) // CHARACTERS_A_TOKEN


def prompt_tokens(request: Request) -> int:
    """Estimate the tokens of what is sent."""
    if isinstance(request, EmbedRequest):
        return sum(text_tokens(one) if isinstance(one, str) else len(one) for one in request.inputs)
    if request.style == "text":
        return _legacy_tokens(request.prompt)
    return sum(TOKENS_A_MESSAGE + _content_tokens(message.get("content")) for message in request.messages)


def _content_tokens(content: Any) -> int:
    if isinstance(content, str):
        return text_tokens(content)
    parts: Iterable[Mapping[str, Any]] = content or ()
    return sum(text_tokens(part["text"]) if "text" in part else TOKENS_A_MEDIUM for part in parts)


def _legacy_tokens(prompt: Any) -> int:
    if isinstance(prompt, str):
        return text_tokens(prompt)
    if prompt and isinstance(prompt[0], int):
        return len(prompt)
    return sum(_legacy_tokens(one) for one in prompt or ())


def estimated_usage(request: Request, text: str = "") -> Usage:
    """Estimate the usage of a request and the text that answered it."""
    prompt, completion = prompt_tokens(request), text_tokens(text)
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion, source="estimated"
    )
