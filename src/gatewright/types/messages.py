"""Messages in the OpenAI form: made of a prompt, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from gatewright.errors import BadRequest
from gatewright.types.requests import Message

__all__ = ["ROLES", "messages_of"]

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def messages_of(prompt: str | Sequence[Message] | None, messages: Sequence[Message] | None) -> Sequence[Message]:
    """Give the messages to send: `messages`, and the prompt as the user's last; `BadRequest` names what is wrong."""
    if isinstance(prompt, str):
        asked: Message = {"role": "user", "content": prompt}
        if not messages:
            return (asked,)
        return [*_checked(messages), asked]
    if prompt is not None:
        if messages:
            raise BadRequest("messages: give them once, as prompt or as messages", param="messages")
        if isinstance(prompt, bytes | Mapping) or not isinstance(prompt, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = _kind(cast(object, prompt))
            raise BadRequest(f"prompt: expected a text or a list of messages, got {kind}", param="prompt")
        messages = prompt
    if not messages:
        raise BadRequest("prompt: give a text, or messages in the OpenAI form", param="prompt")
    return _checked(messages)


def _checked(messages: Any) -> Sequence[Message]:
    if type(messages) is not list and (
        isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence)
    ):
        raise BadRequest(
            f"messages: expected a list of messages, got {_kind(cast(object, messages))}", param="messages"
        )
    for place, message in enumerate(cast(Sequence[Any], messages)):
        if not _is_plain(message):
            _check_message(f"messages[{place}]", message)
    return cast(Sequence[Message], messages)


def _is_plain(message: Any) -> bool:
    """Whether it is a message of the commonest kind, in which nothing else has to be looked at."""
    if type(message) is not dict:
        return False
    plain = cast(Message, message)
    role = plain.get("role")
    return type(role) is str and role in ROLES and type(plain.get("content")) is str


def _check_message(where: str, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise BadRequest(f"{where}: expected a message with role and content, got {_kind(given)}", param=where)
    message = cast(Message, given)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        roles = ", ".join(sorted(ROLES))
        raise BadRequest(f"{where}.role: expected one of {roles}, got {role!r}", param=f"{where}.role")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return
    where = f"{where}.content"
    if isinstance(content, Mapping) or not isinstance(content, Sequence):
        raise BadRequest(
            f"{where}: expected a text or a list of parts, got {_kind(cast(object, content))}", param=where
        )
    for number, part in enumerate(cast(Sequence[Any], content)):
        if not isinstance(part, Mapping) or not isinstance(cast(Message, part).get("type"), str):
            at = f"{where}[{number}]"
            raise BadRequest(f"{at}: expected a part with a type, such as text or image_url", param=at)


def _kind(value: object) -> str:
    return type(value).__name__
