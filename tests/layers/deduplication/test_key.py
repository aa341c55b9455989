"""What makes two calls the same."""

from typing import Any

from pydantic import BaseModel

from gatewright.clock import MONOTONIC
from gatewright.layers.deduplication.config import DeduplicationConfig
from gatewright.layers.deduplication.layer import DeduplicationLayer
from gatewright.pipeline.call import CacheWishes, Call, CallOptions
from gatewright.pipeline.events import Events
from gatewright.types.caller import Caller
from gatewright.types.requests import EmbedRequest, GenerateRequest

HELLO = [{"role": "user", "content": "Hello"}]
LAYER = DeduplicationLayer(DeduplicationConfig(), MONOTONIC, Events())


def key(
    tenant: str | None = "a",
    model: str = "m",
    messages: Any = HELLO,
    params: Any = None,
    style: Any = "chat",
    **call: Any,
) -> Any:
    request = GenerateRequest(model=model, messages=messages, params=params or {}, style=style)
    return LAYER.key_of(Call(request=request, id="req_1", started_at=0.0, caller=Caller(tenant_id=tenant), **call))


def test_the_order_of_keys_does_not_matter_at_any_depth():
    one = key(messages=[{"role": "user", "content": "Hello"}], params={"seed": 1, "extra": {"a": 1, "b": 2}})
    two = key(messages=[{"content": "Hello", "role": "user"}], params={"extra": {"b": 2, "a": 1}, "seed": 1})
    assert one is not None
    assert one == two


def test_whatever_else_differs_makes_another_key():
    embed = EmbedRequest(model="m", inputs=["Hello"])
    keys = [
        key(),
        key(tenant="b"),
        key(tenant=None),
        key(tenant="None"),
        key(model="n"),
        key(messages=[*HELLO, *HELLO]),
        key(params={"seed": 1}),
        key(params={"seed": "1"}),
        key(params={"user": "u1"}),
        key(params={"tools": [{"type": "function", "function": {"name": "f"}}]}),
        # A deployment may set these itself: saying what is usual is not the same as saying nothing.
        key(params={"presence_penalty": 0}),
        key(tenant="am", model=""),
        key(style="text"),
        key(stream=True),
        key(options=CallOptions(fallbacks=("n",))),
        key(options=CallOptions(max_retries=0)),
        key(options=CallOptions(drop_params=True)),
        key(options=CallOptions(cache=CacheWishes(namespace="x"))),
        LAYER.key_of(Call(request=embed, id="req_1", started_at=0.0, caller=Caller(tenant_id="a"))),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_who_calls_in_the_name_of_the_tenant_makes_none():
    request = GenerateRequest(model="m", messages=HELLO)
    callers = [Caller(tenant_id="a"), Caller(tenant_id="a", session="s", tags=("t",), key_id="k")]
    keys = {LAYER.key_of(Call(request=request, id="req_1", started_at=0.0, caller=caller)) for caller in callers}
    assert len(keys) == 1


def test_what_has_no_canonical_form_has_no_key():
    class Answer(BaseModel):
        text: str

    endless: list = []
    endless.append(endless)
    assert key(params={"response_format": Answer}) is None
    assert key(messages=[{"content": "\ud800"}]) is None
    assert key(params={"endless": endless}) is None
    assert key(params={"huge": 2**70}) is None or key(params={"huge": 2**70}) != key(params={"huge": 2**71})


def test_who_wants_variety_or_a_fresh_answer_has_none_unless_it_says_so():
    fresh = CacheWishes(no_cache=True)
    assert key(params={"n": 2}) is None
    assert key(params={"temperature": 1.5}) is None
    assert key(options=CallOptions(deduplicate=False)) is None
    assert key(options=CallOptions(cache=fresh)) is None
    assert key(params={"n": 2}, options=CallOptions(deduplicate=True)) is not None
    assert key(options=CallOptions(cache=fresh, deduplicate=True)) is not None


def test_a_long_request_is_kept_by_its_hash() -> None:
    long = [{"role": "user", "content": "Hello " * 1000}]
    assert key(messages=long) == key(messages=[{"content": "Hello " * 1000, "role": "user"}])
    assert key(messages=long) != key(messages=[{"role": "user", "content": "Hello " * 1000 + "!"}])
    assert max(len(part) for part in key(messages=long) if isinstance(part, bytes)) == 20
