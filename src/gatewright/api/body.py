"""A request's body, read and taken apart field by field; whatever is wrong is a `BadRequest` that names the field."""

from __future__ import annotations

import math
from typing import Any, cast

import msgspec

from gatewright.api.errors import UnsupportedMediaType
from gatewright.api.exchange import Exchange
from gatewright.errors import BadRequest

__all__ = ["TENANT_HEADER", "Body", "parameters", "read_body", "streaming", "take_model", "tenant_of"]

Body = dict[str, Any]

TENANT_HEADER = "x-gatewright-tenant"

# Where a request goes and as whom is the deployment's to say, and who calls is the server's.
_REFUSED = frozenset(
    {
        "api_base",
        "api_key",
        "api_type",
        "api_version",
        "base_url",
        "client",
        "custom_llm_provider",
        "default_headers",
        "extra_body",
        "extra_headers",
        "extra_query",
        "headers",
        "key_id",
        "organization",
        "self",
        "tenant_id",
    }
)
_REFUSED_PREFIXES = ("aws_", "azure_", "litellm_", "vertex_", "watsonx_")
# Short names of the same, as LiteLLM's clients send them.
_RENAMED = {"num_retries": "max_retries"}
MAX_RETRIES = 100


async def read_body(exchange: Exchange, limit: int) -> Body:
    """Read and decode a JSON object of at most `limit` bytes."""
    kind = exchange.header(b"content-type")
    if kind is not None and not _is_json(kind):
        raise UnsupportedMediaType(f"content-type: expected application/json, got {kind.decode('latin-1')}")
    data = await exchange.body(limit)
    try:
        body = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"the request's body is not JSON: {error}") from None
    except RecursionError:
        raise BadRequest("the request's body is nested too deeply") from None
    if not isinstance(body, dict):
        raise BadRequest(f"the request's body: expected a JSON object, got {_kind(body)}")
    return cast("Body", body)


def tenant_of(exchange: Exchange) -> str | None:
    """Give the tenant that the header `x-gatewright-tenant` names.

    Whoever may call may name any tenant: it says on whose account a call is, it does not prove it.
    """
    tenant = exchange.text_header(TENANT_HEADER)
    if tenant is not None and not tenant.strip():
        raise BadRequest(f"{TENANT_HEADER}: expected a name, got an empty text", param=TENANT_HEADER)
    return tenant


def take_model(body: Body) -> str | None:
    """Take the model's name out; None leaves it to the gateway's default."""
    model = body.pop("model", None)
    if model is not None and (not isinstance(model, str) or not model):
        raise BadRequest(f"model: expected a name, got {_kind(cast(object, model))}", param="model")
    return model


def streaming(body: Body) -> tuple[bool, bool]:
    """Take out whether to stream, and whether to end the stream with its usage."""
    stream = _take(body, "stream", bool, "true or false") or False
    options: Body | None = _take(body, "stream_options", dict, "an object")
    if options is None:
        return stream, False
    if not stream:
        raise BadRequest("stream_options: only with stream set to true", param="stream_options")
    usage = _take(options, "include_usage", bool, "true or false", "stream_options.include_usage") or False
    if options:
        body["stream_options"] = options
    return stream, usage


def parameters(body: Body, *refused: str) -> Body:
    """Give what is left of the body for the gateway: its own options checked, the rest for the provider.

    The names in `refused`, and those that are not a caller's to set, are a `BadRequest`.
    """
    for name in body:
        if name in _REFUSED or name in refused or name.startswith(_REFUSED_PREFIXES):
            raise BadRequest(f"{name}: cannot be set by a request", param=name)
    for short, name in _RENAMED.items():
        if short in body:
            body.setdefault(name, body.pop(short))
    for name, check in _OPTIONS.items():
        if name in body:
            if body[name] is None:
                del body[name]
            elif not check(body[name]):
                raise BadRequest(f"{name}: expected {_EXPECTED[name]}", param=name)
    return body


def _take(body: Body, name: str, kind: type, expected: str, path: str | None = None) -> Any:
    value = body.pop(name, None)
    if value is not None and not isinstance(value, kind):
        raise BadRequest(f"{path or name}: expected {expected}, got {_kind(value)}", param=path or name)
    return value


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_retries(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_RETRIES


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[Any]", value))


_OPTIONS = {
    "timeout": _is_seconds,
    "max_retries": _is_retries,
    "fallbacks": _are_texts,
    "drop_params": _is_flag,
    "continue_streams": _is_flag,
    "session": _is_text,
    "tags": _are_texts,
    "user": _is_text,
}
_EXPECTED = {
    "timeout": "seconds above zero",
    "max_retries": f"a whole number from 0 to {MAX_RETRIES}",
    "fallbacks": "a list of model names",
    "drop_params": "true or false",
    "continue_streams": "true or false",
    "session": "a text",
    "tags": "a list of texts",
    "user": "a text",
}
_JSON_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def _kind(value: object) -> str:
    return "an empty text" if value == "" else _JSON_KINDS.get(type(value), "a number")


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")
