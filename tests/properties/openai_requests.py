"""Requests that OpenAI's published schema allows, made at random."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

DOCUMENT = Path(__file__).parents[3] / "shared" / "data" / "spec" / "openai-openapi-core.yaml"
Schema = dict[str, Any]
DEPTH = 6
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
WHOLE = st.integers(-(2**40), 2**40)


@functools.cache
def schemas() -> dict[str, Schema]:
    if not DOCUMENT.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{DOCUMENT.name} is not there")
        pytest.skip(f"../shared/data/spec/{DOCUMENT.name} is not there")
    return yaml.load(DOCUMENT.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["components"][
        "schemas"
    ]


def resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = schemas()[schema["$ref"].rpartition("/")[2]]
    return schema


def properties(schema: Schema) -> tuple[dict[str, Schema], set[str]]:
    """Give an object's properties, and the names of those that must be there."""
    schema = resolved(schema)
    found, required = dict(schema.get("properties", {})), set(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        more, needed = properties(part)
        found |= more
        required |= needed
    return found, required


def values(schema: Schema, depth: int = DEPTH) -> st.SearchStrategy[Any]:
    """Give what makes values of a schema; none of them is null, for null is nothing said."""
    schema = resolved(schema)
    choices = [
        one for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())) if resolved(one).get("type") != "null"
    ]
    if choices:
        return st.one_of([values(one, depth - 1) for one in choices])
    if "enum" in schema:
        return st.sampled_from([one for one in schema["enum"] if one is not None])
    kind = schema.get("type")
    if kind == "object" or "allOf" in schema or "properties" in schema:
        return objects(schema, depth)
    if kind == "array":
        items = schema.get("items", {})
        least = schema.get("minItems", 0)
        return st.lists(values(items, depth - 1), min_size=least, max_size=max(least, 2 if depth > 0 else 0))
    if kind == "integer":
        return st.integers(max(schema.get("minimum", 0), -(2**40)), min(schema.get("maximum", 2**40), 2**40))
    if kind == "number":
        return st.one_of(WHOLE, st.floats(schema.get("minimum", -1e9), schema.get("maximum", 1e9), allow_nan=False))
    return st.booleans() if kind == "boolean" else TEXTS


def objects(schema: Schema, depth: int) -> st.SearchStrategy[Any]:
    found, required = properties(schema)
    if not found:
        return st.dictionaries(TEXTS, st.one_of(TEXTS, WHOLE, st.booleans()), max_size=2)
    needed = {name: values(one, depth - 1) for name, one in found.items() if name in required}
    others = {name: values(one, depth - 1) for name, one in found.items() if name not in required} if depth > 0 else {}
    return st.fixed_dictionaries(needed, optional=others)


def chat_requests() -> st.SearchStrategy[dict[str, Any]]:
    """Give what makes bodies of `POST /chat/completions`, with some of the parameters."""
    found, _ = properties(schemas()["CreateChatCompletionRequest"])
    messages = values(found.pop("messages"))
    for carried in ("model", "stream", "stream_options"):
        found.pop(carried)
    chosen = st.sets(st.sampled_from(sorted(found)), max_size=4)

    @st.composite
    def body(draw: st.DrawFn) -> dict[str, Any]:
        names = draw(chosen)
        return {"messages": draw(messages), **{name: draw(values(found[name])) for name in sorted(names)}}

    return body()
