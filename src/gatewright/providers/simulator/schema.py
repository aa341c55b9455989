"""Samples the smallest value that satisfies a JSON schema."""

from __future__ import annotations

import math
from typing import Any, cast

from gatewright.errors import BadRequest

__all__ = ["sample"]

Schema = dict[str, Any]

_FORMATS = {
    "date": "2024-01-01",
    "date-time": "2024-01-01T00:00:00Z",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "00:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEEP = 6
_TOO_DEEP = 60


def sample(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """Give a value for `schema`: what is required and no more. Patterns and negations are not understood."""
    root = schema if root is None else root
    if schema is True or schema == {}:
        return "text"
    if not isinstance(schema, dict) or depth > _TOO_DEEP:
        raise BadRequest("the simulator finds no value that satisfies this JSON schema", param="schema")
    return _sample(_flat(cast("Schema", schema), root), root, depth)


def _sample(schema: Schema, root: Any, depth: int) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            shared = {key: value for key, value in schema.items() if key != word}
            return sample({**shared, **_option(schema[word], root, depth)}, root, depth + 1)
    return _SAMPLERS[_type(schema)](schema, root, depth)


def _flat(schema: Schema, root: Any) -> Schema:
    """Give the schema with its `$ref` followed and its `allOf` merged."""
    for _ in range(_TOO_DEEP):
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**_pointed(root, schema["$ref"]), **rest}
        elif "allOf" in schema:
            schema = _merged(schema, root)
        else:
            return schema
    raise BadRequest("a JSON schema refers to itself without end", param="schema")


def _pointed(root: Any, reference: str) -> Schema:
    target = root
    for part in reference.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or key not in target:
            raise BadRequest(f"the JSON schema's {reference} leads nowhere", param="schema")
        target = cast("Schema", target)[key]
    return cast("Schema", target)


def _merged(schema: Schema, root: Any) -> Schema:
    whole = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        for key, value in _flat(part, root).items():
            if key == "required":
                value = [*whole.get(key, []), *value]
            elif key == "properties":
                value = {**whole.get(key, {}), **value}
            whole[key] = value
    return whole


def _option(options: list[Any], root: Any, depth: int) -> Schema:
    """Take the first option; deep inside a recursive schema null, where it is allowed, and else the last."""
    flat = [_flat(cast("Schema", option), root) for option in options if isinstance(option, dict)]
    if depth < _DEEP:
        return flat[0]
    return next((option for option in flat if option.get("type") == "null"), flat[-1])


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = cast("list[str]", kind)[0]
    if kind is None:
        hints = {"properties": "object", "required": "object", "items": "array", "prefixItems": "array"}
        kind = next((kind for word, kind in hints.items() if word in schema), "string")
    if kind not in _SAMPLERS:
        raise BadRequest(f"a JSON schema has no type {kind!r}", param="schema")
    return cast("str", kind)


def _object(schema: Schema, root: Any, depth: int) -> Any:
    properties: Schema = schema.get("properties", {})
    return {name: sample(properties.get(name, {}), root, depth + 1) for name in schema.get("required", ())}


def _array(schema: Schema, root: Any, depth: int) -> Any:
    first: list[Any] = schema.get("prefixItems", [])
    missing = max(0, schema.get("minItems", 0) - len(first))
    values = [sample(item, root, depth + 1) for item in first]
    return values + [sample(schema.get("items", {}), root, depth + 1) for _ in range(missing)]


def _string(schema: Schema, _root: Any, _depth: int) -> Any:
    text = _FORMATS.get(schema.get("format", ""), "text")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]


def _integer(schema: Schema, _root: Any, _depth: int) -> Any:
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + 1)
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - 1)
    value = math.ceil(low) if low > 0 else math.floor(high) if high < 0 else 0
    step = schema.get("multipleOf")
    if step:
        value = int(math.ceil(value / step) * step) if value > 0 else int(math.floor(value / step) * step)
    return value


def _number(schema: Schema, root: Any, depth: int) -> Any:
    whole: float = _integer(schema, root, depth)
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    if low < whole < high or whole in (schema.get("minimum"), schema.get("maximum")):
        return float(whole)
    return low if low == high else (low + high) / 2


def _boolean(_schema: Schema, _root: Any, _depth: int) -> Any:
    return True


def _null(_schema: Schema, _root: Any, _depth: int) -> Any:
    return None


_SAMPLERS: dict[str, Any] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
}
