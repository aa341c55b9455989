"""The fingerprint of a request: equal for equal meaning, different for whatever matters."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gatewright.pipeline.fingerprint import USUAL, canonical_text, digest_of, fingerprint, text_fingerprints
from gatewright.types.requests import EmbedRequest, GenerateRequest

from .openai_requests import chat_requests

SLOW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


def of(body: dict[str, Any]) -> bytes | None:
    params = {name: value for name, value in body.items() if name != "messages"}
    return fingerprint(GenerateRequest(model="m", messages=body["messages"], params=params))


def respelled(draw: st.DrawFn, value: Any) -> Any:
    """Say the same in other words: keys in another order, whole numbers as floats, lists as tuples."""
    if isinstance(value, dict):
        names = draw(st.permutations(sorted(value)))
        return {name: respelled(draw, value[name]) for name in names}
    if isinstance(value, list):
        again = [respelled(draw, one) for one in value]
        return tuple(again) if draw(st.booleans()) else again
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if draw(st.booleans()) else value
    if isinstance(value, float) and value.is_integer():
        return int(value) if draw(st.booleans()) else value
    return value


def respelled_message(draw: st.DrawFn, message: dict[str, Any]) -> dict[str, Any]:
    again = dict(message)
    content = again.get("content")
    if isinstance(content, str) and draw(st.booleans()):
        again["content"] = [{"type": "text", "text": content}]
    for name in ("name", "refusal", "made_up"):
        if name not in again and draw(st.booleans()):
            again[name] = None
    return again


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    body = draw(chat_requests())
    again = {**body, "messages": [respelled_message(draw, one) for one in body["messages"]]}
    again = respelled(draw, again)
    for name, usual in USUAL.items():
        if name not in again and draw(st.booleans()):
            again[name] = copy.deepcopy(usual)
    for name in ("seed", "made_up"):
        if name not in again and draw(st.booleans()):
            again[name] = None
    if draw(st.booleans()):
        again |= {"stream": draw(st.booleans()), "stream_options": {"include_usage": True}}
    if isinstance(again.get("stop"), str):
        again["stop"] = [again["stop"]]
    return body, again


@SLOW
@given(st.data())
def test_the_same_in_other_words_is_the_same(data: st.DataObject) -> None:
    body, again = data.draw(pairs())
    assert of(body) is not None
    assert of(body) == of(again)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the ways to everything in a body that can be changed."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [way for name, one in inside for way in leaves(one, (*path, name))]


def changed(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + draw(st.sampled_from([1, -1, 0.5]))
    if isinstance(value, str):
        return value + draw(st.sampled_from(["x", " ", "\n", "é"]))
    if isinstance(value, list):
        return [*value, {"role": "user", "content": "something more"}]
    return {**value, draw(st.sampled_from(["made_up", "other"])): draw(st.sampled_from([1, "x", False]))}


@SLOW
@given(st.data())
def test_whatever_is_changed_makes_another(data: st.DataObject) -> None:
    body = data.draw(chat_requests())
    way = data.draw(st.sampled_from(leaves(body)))
    other = copy.deepcopy(body)
    inside: Any = other
    for name in way[:-1]:
        inside = inside[name]
    inside[way[-1]] = changed(data.draw, inside[way[-1]])
    # A float may be too large for the change to show.
    assume(json.dumps(other, sort_keys=True) != json.dumps(body, sort_keys=True))
    assert of(body) != of(other), way


@SLOW
@given(st.data())
def test_whatever_is_left_out_or_added_makes_another(data: st.DataObject) -> None:
    body = data.draw(chat_requests())
    said = [name for name in body if name != "messages" and name not in USUAL]
    without = [{key: value for key, value in body.items() if key != name} for name in said]
    more = {**body, data.draw(st.sampled_from(["top_k", "made_up", "seed2"])): data.draw(st.sampled_from([0, "x", []]))}
    again = {**body, "messages": [*body["messages"], {"role": "user", "content": ""}]}
    assert of(body) not in {of(one) for one in (*without, more, again)}


def test_what_a_deployment_sets_is_said() -> None:
    hello = [{"role": "user", "content": "hello"}]
    bare = GenerateRequest(model="m", messages=hello)
    said = GenerateRequest(model="m", messages=hello, params={"n": 1})
    assert fingerprint(bare) == fingerprint(said)
    assert fingerprint(bare, frozenset({"n"})) != fingerprint(said, frozenset({"n"}))


@given(st.lists(st.one_of(st.text(max_size=5), st.lists(st.integers(0, 9), min_size=1, max_size=3)), max_size=6))
def test_a_text_has_the_same_fingerprint_in_every_batch(inputs: list[Any]) -> None:
    params = {"dimensions": 4}
    together = text_fingerprints(EmbedRequest(model="m", inputs=inputs, params=params))
    alone = [text_fingerprints(EmbedRequest(model="m", inputs=[one], params=params)) for one in inputs]
    if together is None:
        assert None in alone
        return
    assert [[one] for one in together] == alone
    spelled = [json.dumps(one) for one in inputs]
    assert len(set(together)) == len(set(spelled))


def test_legacy_prompts() -> None:
    def of_prompt(prompt: Any) -> bytes | None:
        return fingerprint(GenerateRequest(model="m", style="text", prompt=prompt))

    assert of_prompt("a") == of_prompt(["a"])
    assert of_prompt([1, 2]) == of_prompt([[1, 2]])
    different = [of_prompt(one) for one in ("a", "b", ["a", "b"], ["b", "a"], [1, 2], [2, 1], [[1], [2]], ["ab"])]
    assert len(set(different)) == len(different)


def test_what_has_no_form_in_json_is_like_no_other() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (object(), endless, float("nan"), float("inf"), {"a": float("nan")}, "\ud800", {(1, 2): 3}):
        assert of({"messages": [{"role": "user", "content": "a"}], "made_up": value}) is None, value


def test_names_of_tokens_may_be_numbers() -> None:
    hello = [{"role": "user", "content": "hello"}]
    assert of({"messages": hello, "logit_bias": {50256: -100}}) == of(
        {"messages": hello, "logit_bias": {"50256": -100.0}}
    )


def test_every_spelling_of_a_number_is_the_same_however_deep_it_lies() -> None:
    hello = [{"role": "user", "content": "hello null 1.0 1e16"}]
    for whole, spelled in (
        (1, 1.0),
        (0, -0.0),
        (10**16, 1e16),
        (10**22, 1e22),
        (15 * 10**20, 1.5e21),
        (-(10**17), -1e17),
    ):
        for nested in (lambda one: one, lambda one: [one], lambda one: {"a": [{"b": one, "c": None}]}):
            same = [of({"messages": hello, "made_up": nested(one)}) for one in (whole, spelled)]
            assert same[0] is not None
            assert same[0] == same[1], spelled
            assert same[0] != of({"messages": hello, "made_up": nested(whole + 10**8)})


def test_what_the_text_says_is_not_taken_for_what_it_is_written_in() -> None:
    texts = ["null", "", "1.0", "1", '"content":[', '{"type":"text","text":"a"}', "a"]
    contents = [*texts, [{"type": "text", "text": "a"}, {"type": "text", "text": "a"}]]
    found = [of({"messages": [{"role": "user", "content": content}]}) for content in contents]
    assert len(set(found)) == len(found)
    for text in texts:
        for said in ([{"type": "text", "text": text}], ({"text": text, "type": "text"},)):
            assert of({"messages": [{"role": "user", "content": said, "name": None}]}) == of(
                {"messages": [{"role": "user", "content": text}]}
            )


@SLOW
@given(st.data())
def test_a_fingerprint_is_the_hash_of_what_is_written(data: st.DataObject) -> None:
    body = data.draw(chat_requests())
    request = GenerateRequest(model="m", messages=body["messages"], params={"seed": 3, "tools": body.get("tools", [])})
    text = canonical_text(request)
    assert text is not None
    assert fingerprint(request) == digest_of(text)


def test_keys_that_are_no_texts_are_written_as_texts() -> None:
    message = {"role": "user", "content": "Hello"}
    odd = of({"messages": [message], 5: 1, "seed": 2})  # type: ignore[dict-item]
    assert odd is not None
    assert odd == of({"messages": [message], "5": 1, "seed": 2})
    assert of({"messages": [message], (5,): 1, "seed": 2}) is None  # type: ignore[dict-item]
