"""From the arguments of `record_feedback` to a feedback; whatever is wrong is a `BadRequest` that names the field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec

from gatewright.errors import BadRequest
from gatewright.feedback.config import FeedbackConfig
from gatewright.feedback.rating import read_rating
from gatewright.feedback.types import Feedback, FeedbackType, new_feedback_id
from gatewright.types.configuration import nearest

__all__ = ["MAX_TOLD_CHARS", "checked_tenant", "checked_text", "checked_type", "new_feedback"]

MAX_NAME_BYTES = 512
MAX_TOLD_CHARS = 200
"""Of a model's or a version's name: an index has it, and PostgreSQL's rows of an index are short."""
MAX_DEPTH = 16
_SAYS_SOMETHING = frozenset({FeedbackType.CORRECTION, FeedbackType.IMPROVEMENT, FeedbackType.ERROR})


def new_feedback(
    config: FeedbackConfig,
    now: datetime,
    *,
    query: object,
    response: object,
    feedback_type: object,
    content: object,
    rating: object,
    tenant_id: object,
    operation_id: object,
    metadata: object,
) -> Feedback:
    """Check everything and make a feedback of it, with a new id."""
    kind = checked_type(feedback_type)
    text = "" if content is None else checked_text("content", content, config.max_content_bytes)
    told = _metadata(metadata, config.max_metadata_bytes)
    return Feedback(
        id=new_feedback_id(),
        tenant_id=checked_tenant(tenant_id),
        type=kind,
        query=checked_text("query", query, config.max_exchange_bytes),
        response=checked_text("response", response, config.max_exchange_bytes),
        content=_content(kind, text),
        rating=_rating(kind, rating, text),
        operation_id=None if operation_id is None else _name("operation_id", operation_id),
        model=_told(told, "model"),
        prompt_version=_told(told, "prompt_version"),
        metadata=told,
        created_at=now,
    )


def checked_type(value: object) -> FeedbackType:
    """Give a type by itself or by its name."""
    if isinstance(value, str):
        try:
            return FeedbackType(value)
        except ValueError:
            pass
    names = [one.value for one in FeedbackType]
    near = nearest(value.lower(), names) if isinstance(value, str) else None
    hint = f"; did you mean {near}?" if near else ""
    raise BadRequest(
        f"feedback_type: expected one of {', '.join(names)}, got {_shown(value)}{hint}", param="feedback_type"
    )


def checked_tenant(value: object) -> str | None:
    """Give a tenant's name, or None for callers without one."""
    return None if value is None else _name("tenant_id", value)


def checked_text(field: str, value: object, limit: int) -> str:
    """Give a text that a store can keep: at most `limit` bytes of UTF-8, without a NUL or half a surrogate pair."""
    if not isinstance(value, str):
        raise BadRequest(f"{field}: expected a text, got {type(value).__name__}", param=field)
    if "\0" in value:
        raise BadRequest(f"{field}: a text with a NUL character cannot be kept: leave it out", param=field)
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise BadRequest(f"{field}: the text is not valid Unicode: it has half a surrogate pair", param=field) from None
    if size > limit:
        raise BadRequest(f"{field}: expected at most {limit} bytes of text, got {size}", param=field)
    return value


def _name(field: str, value: object) -> str:
    name = checked_text(field, value, MAX_NAME_BYTES)
    if not name.strip():
        raise BadRequest(f"{field}: expected a text that is not empty", param=field)
    return name


def _content(kind: FeedbackType, text: str) -> str:
    if kind in _SAYS_SOMETHING and not text.strip():
        raise BadRequest(f"content: a feedback of type {kind.value} needs a text, got an empty one", param="content")
    return text


def _rating(kind: FeedbackType, rating: object, content: str) -> float | None:
    """Give the rating; of a feedback of type rating without one, its content is it."""
    if rating is not None:
        return read_rating(rating)
    if kind is not FeedbackType.RATING:
        return None
    if not content.strip():
        raise BadRequest('rating: a feedback of type rating needs one: 1 to 5, "up" or "down"', param="rating")
    return read_rating(content, "rating")


def _metadata(value: object, limit: int) -> dict[str, Any]:
    if value is None:
        return {}
    plain: Any = _plain("metadata", value, MAX_DEPTH)
    if not isinstance(plain, dict):
        raise BadRequest(f"metadata: expected a mapping, got {type(value).__name__}", param="metadata")
    size = len(msgspec.json.encode(plain))
    if size > limit:
        raise BadRequest(f"metadata: expected at most {limit} bytes as JSON, got {size}", param="metadata")
    return cast("dict[str, Any]", plain)


def _plain(path: str, value: object, depth: int) -> Any:
    """Copy what JSON can hold, so that what is read back is what was given."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return checked_text(path, str(value), 2**31)
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) < 2**63:
        return value
    if depth and isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value).items()
        return {_key(path, key): _plain(f"{path}.{key}", one, depth - 1) for key, one in entries}
    if depth and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        listed = cast("Sequence[object]", value)
        return [_plain(f"{path}[{place}]", one, depth - 1) for place, one in enumerate(listed)]
    raise BadRequest(f"{path}: expected what JSON can hold, got {_shown(cast(object, value))}", param=path)


def _key(path: str, key: object) -> str:
    if not isinstance(key, str):
        raise BadRequest(f"{path}: expected names that are texts, got {_shown(key)}", param=path)
    return checked_text(f"{path}: its name", key, MAX_NAME_BYTES)


def _told(metadata: Mapping[str, Any], name: str) -> str | None:
    """Give a name that the metadata may tell; a number is a version too."""
    value = metadata.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return value[:MAX_TOLD_CHARS] if isinstance(value, str) and value.strip() else None


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | int | float) and len(repr(value)) <= 40 else type(value).__name__
