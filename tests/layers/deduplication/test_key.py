from pydantic import BaseModel

from gatewright.layers.deduplication.key import request_key

HELLO = [{"role": "user", "content": "Hello"}]


def key(tenant="a", operation="generate", model="m", messages=HELLO, params=None):
    return request_key(tenant, operation, model, messages, params or {})


def test_the_order_of_keys_does_not_matter_at_any_depth():
    one = key(messages=[{"role": "user", "content": "Hello"}], params={"seed": 1, "extra": {"a": 1, "b": 2}})
    two = key(messages=[{"content": "Hello", "role": "user"}], params={"extra": {"b": 2, "a": 1}, "seed": 1})
    assert one is not None
    assert one == two
    assert len(one) == 16


def test_whatever_else_differs_makes_another_key():
    keys = [
        key(),
        key(tenant="b"),
        key(tenant=None),
        key(tenant="None"),
        key(operation="embed"),
        key(model="n"),
        key(messages=[*HELLO, *HELLO]),
        key(params={"seed": 1}),
        key(params={"seed": "1"}),
        key(tenant="am", model=""),
    ]
    assert len(set(keys)) == len(keys)


def test_what_has_no_canonical_form_has_no_key():
    class Answer(BaseModel):
        text: str

    endless: list = []
    endless.append(endless)
    assert key(params={"response_format": Answer}) is None
    assert key(messages=[{"content": "\ud800"}]) is None
    assert key(params={"endless": endless}) is None
    assert key(params={"huge": 2**70}) is None or key(params={"huge": 2**70}) != key(params={"huge": 2**71})
