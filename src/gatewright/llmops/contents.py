"""What was asked and answered, as text, for those who want it recorded."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.types.requests import EmbedRequest, Request
from gatewright.types.results import Answer

__all__ = ["answer_text", "request_text"]

_encode = msgspec.json.Encoder(enc_hook=str).encode


def request_text(request: Request) -> str:
    """Give a request as JSON: its messages, prompt or inputs, and its parameters."""
    if isinstance(request, EmbedRequest):
        asked: dict[str, Any] = {"inputs": request.inputs}
    elif request.style == "chat":
        asked = {"messages": request.messages}
    else:
        asked = {"prompt": request.prompt}
    return _text({**asked, "params": request.params} if request.params else asked)


def answer_text(answer: Any) -> str | None:
    """Give an answer's choices as JSON; vectors are not recorded."""
    if not isinstance(answer, Answer):
        return None
    return _text([_choice(choice) for choice in answer.choices])


def _choice(choice: Any) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(choice).items() if value not in (None, "", ())}


def _text(value: Any) -> str:
    try:
        return _encode(value).decode()
    except (UnicodeEncodeError, ValueError, TypeError):  # half a character, or what no JSON can say
        return repr(value)
