"""No tenant ever reads what another wrote: any mix of tenants, keys, patterns and namespaces, wherever it is kept."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewright.clock import MONOTONIC
from gatewright.layers.cache import CacheConfig, CacheMechanism
from gatewright.layers.cache.asked import Model
from gatewright.layers.cache.layer import CacheLayer
from gatewright.pipeline.call import CacheWishes, Call, CallOptions, new_id
from gatewright.pipeline.events import Events
from gatewright.pipeline.reply import Reply
from gatewright.types.caller import Caller
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Embeddings

TENANTS = [
    None,
    "",
    "-",
    "t",
    "*",
    "a",
    "a|b",
    "1:a",
    "2:ta|",
    "?",
    "[a-z]",
    "\\",
    "ключ",
    "\ud800",
    "\x00",
    "a" * 3000,
]
NAMESPACES = ["", "a", "*", "5:value", "value", "n|1:k"]
KEYS = ["k", "a|b", "*", "1:k", "k*", "\n", "5:value|0:|1:k", "chat:m:x", "é", "[k]", "\udfff"]
PATTERNS = ["*", "k", "k*", "?", "[k]*", "*|*", "chat:*", "\n", "[*]", "1:*", "nothing", "**", "[[]k]"]
PLACES = {
    "tenant": st.sampled_from(TENANTS),
    "namespace": st.sampled_from(NAMESPACES),
    "key": st.sampled_from(KEYS),
}
STEPS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"do": st.sampled_from(["get", "set", "compute", "delete"]), **PLACES}),
        st.fixed_dictionaries(
            {
                "do": st.just("invalidate"),
                "tenant": st.sampled_from(TENANTS),
                "namespace": st.sampled_from([None, *NAMESPACES]),
                "pattern": st.sampled_from(PATTERNS),
            }
        ),
        st.fixed_dictionaries({"do": st.just("clear"), "tenant": st.sampled_from(TENANTS[1:])}),
    ),
    min_size=5,
    max_size=40,
)
Place = tuple[str | None, str, str]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Redis and the file the time that they need on a busy machine."""
    monkeypatch.setattr("gatewright.storage.keyvalue.redis.PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.READ_PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.WRITE_PATIENCE", 20.0)


async def follow(cache: CacheMechanism, steps: list[dict[str, Any]]) -> None:
    """Do the steps beside a plain dictionary, and compare after each."""
    kept: dict[Place, Any] = {}
    for number, step in enumerate(steps):
        tenant, namespace, key = step["tenant"], step.get("namespace"), step.get("key", "")
        place: Any = (tenant, namespace, key)
        value = [number, tenant if tenant != "\ud800" else 1, namespace]
        where = {"tenant_id": tenant, "namespace": namespace}
        if step["do"] == "set":
            await cache.set_async(key, value, **where)
            kept[place] = value
        elif step["do"] == "get":
            assert await cache.get_async(key, **where) == kept.get(place)
        elif step["do"] == "compute":
            assert await cache.get_or_compute_async(key, lambda value=value: value, **where) == kept.setdefault(
                place, value
            )
        elif step["do"] == "delete":
            assert await cache.delete_async(key, **where) == (kept.pop(place, None) is not None)
        else:
            pattern = step.get("pattern", "*")
            gone = [
                one
                for one in kept
                if one[0] == tenant and namespace in (None, one[1]) and fnmatch.fnmatchcase(one[2], pattern)
            ]
            if step["do"] == "clear":
                assert await cache.clear_async(tenant_id=tenant) == len(gone)
            else:
                assert await cache.invalidate_pattern_async(pattern, **where) == len(gone)
            for one in gone:
                del kept[one]
    for tenant, namespace, key in [(t, n, k) for t in TENANTS for n in NAMESPACES[:3] for k in KEYS[:4]]:
        found = await cache.get_async(key, tenant, namespace=namespace)
        assert found == kept.get((tenant, namespace, key))


@pytest.fixture(params=["memory", "file", "redis", "redis alone"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> CacheConfig:
    if request.param == "memory":
        return CacheConfig()
    if request.param == "file":
        return CacheConfig(path=str(tmp_path / "cache.sqlite3"))
    url = request.getfixturevalue("redis_server").url
    return CacheConfig(redis_url=url, memory_ttl=0 if "alone" in request.param else 5)


def test_what_one_does_is_nothing_to_the_others(config: CacheConfig) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def holds(steps: list[dict[str, Any]]) -> None:
        async def work() -> None:
            async with CacheMechanism(config) as cache:
                await cache.clear_async()
                await follow(cache, steps)

        asyncio.run(work())

    holds()


def test_two_caches_over_one_store_are_one(redis_server: Any) -> None:
    """Without memory before it, what one does the other sees at once."""
    config = CacheConfig(redis_url=redis_server.url, memory_ttl=0)

    async def work() -> None:
        async with CacheMechanism(config) as one, CacheMechanism(config) as other:
            await one.set_async("k", 1, "a")
            assert await other.get_async("k", "a") == 1
            assert await other.get_async("k", "b") is None
            assert await other.invalidate_pattern_async("*", "b") == 0
            assert await other.invalidate_pattern_async("*", "a") == 1
            assert await one.get_async("k", "a") is None

    asyncio.run(work())


CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "tenant": st.sampled_from(TENANTS),
            "namespace": st.sampled_from(NAMESPACES),
            "model": st.sampled_from(["m", "m:x", "chat:m"]),
            "text": st.sampled_from(["hello", "bye", "*"]),
            "embed": st.booleans(),
            "policy": st.sampled_from(["", "1", ":"]),
        }
    ),
    min_size=5,
    max_size=40,
)


async def answering(call: Call, /) -> Reply[Any, Any]:
    """Answer with whose call it was, and what was asked."""
    if isinstance(call.request, EmbedRequest):
        vectors = [[float(TENANTS.index(call.caller.tenant_id)), float(len(str(one)))] for one in call.request.inputs]
        return Reply[Any, Any].whole(Embeddings(vectors=vectors, model=call.request.model, provider="p"))
    text = f"{TENANTS.index(call.caller.tenant_id)} {call.generation.messages[0]['content']}"
    return Reply[Any, Any].whole(Answer(choices=[Choice(text=text)], model=call.request.model, provider="p"))


async def ask_all(cache: CacheMechanism, calls: list[dict[str, Any]], policies: dict[str, Callable[..., str]]) -> None:
    asked: set[Any] = set()
    for one in calls:
        layer = CacheLayer(
            cache,
            60.0,
            clock=MONOTONIC,
            events=Events(),
            models=lambda name: Model(name, "setup"),
            policy=policies[one["policy"]],
        )
        tenant, model, text = one["tenant"], one["model"], one["text"]
        request: Any = GenerateRequest(model=model, messages=[{"role": "user", "content": text}])
        if one["embed"]:
            request = EmbedRequest(model=model, inputs=[text])
        options = CallOptions(cache=CacheWishes(namespace=one["namespace"]))
        call = Call(request=request, id=new_id(), started_at=0.0, caller=Caller(tenant_id=tenant), options=options)
        reply = await layer(call, answering)
        value = await reply.value()
        if one["embed"]:
            assert value.vectors == [[float(TENANTS.index(tenant)), float(len(text))]]
        else:
            assert value.choices[0].text == f"{TENANTS.index(tenant)} {text}"
        assert value.model == model
        place = (tenant, one["namespace"], model, text, one["embed"], one["policy"])
        assert reply.cached is (place in asked)
        asked.add(place)
        await cache.settled()


def test_no_answer_is_anybody_elses(config: CacheConfig) -> None:
    policies: dict[str, Callable[..., str]] = {name: lambda _, name=name: name for name in ("", "1", ":")}

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CALLS)
    def holds(calls: list[dict[str, Any]]) -> None:
        async def work() -> None:
            async with CacheMechanism(config) as cache:
                await cache.clear_async()
                await ask_all(cache, calls, policies)

        asyncio.run(work())

    holds()
