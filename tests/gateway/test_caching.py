"""The response cache through the gateway, over a real upstream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gatewright import CacheConfig, CacheMechanism, GatewayConfig, LiteLLMGateway
from gatewright.errors import BadRequest, ConfigurationError, GatewayError, InvalidProviderResponse
from gatewright.pipeline.events import AttemptEnded, CacheHit, CallSettled

from .flow.test_specification import example, run


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Redis and the file the time that they need on a busy machine."""
    monkeypatch.setattr("gatewright.storage.keyvalue.redis.PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.READ_PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.WRITE_PATIENCE", 20.0)


@pytest.fixture
def gateway_of(gateway_of: Callable[..., LiteLLMGateway]) -> Callable[..., LiteLLMGateway]:
    """Make a gateway without deduplication, which would share an answer of a moment ago as well."""

    def make(answers: Any, **settings: Any) -> LiteLLMGateway:
        return gateway_of(answers, **{"deduplication": {"enabled": False}, **settings})

    return make


async def test_the_specifications_example(upstream: Any) -> None:
    made: list[Any] = []

    def gateway_of(config: GatewayConfig) -> LiteLLMGateway:
        params = {"model": "openai/m", "api_base": upstream.url, "api_key": "sk-test-0123456789abcdef"}
        entry = {"model_name": "m", "litellm_params": params}
        settings = {"cache": config.cache, "cache_ttl": config.cache_ttl, "enable_caching": config.enable_caching}
        made.append(LiteLLMGateway(GatewayConfig(model_list=[entry], default_model="m", **settings)))  # type: ignore[list-item]
        return made[0]

    code = example("Response Caching").replace("from src.core.litellm_gateway import GatewayConfig", "")
    names: dict[str, Any] = {"LiteLLMGateway": gateway_of, "GatewayConfig": GatewayConfig}
    await run(code, names)
    await made[0].aclose()
    assert len(upstream.requests) == 1
    assert (names["response1"].cached, names["response2"].cached) == (False, True)
    assert names["response2"].text == names["response1"].text
    assert names["cache"].stats("tenant1").hits == 1


async def test_a_hit_is_the_same_answer_for_nothing(gateway_of: Any, upstream: Any) -> None:
    events: list[Any] = []
    async with gateway_of(upstream, enable_caching=True, params={"input_cost_per_token": 0.5}) as gateway:
        first = await gateway.generate_async("hello")
        gateway.subscribe(events.append)
        second = await gateway.generate_async("hello")
    assert len(upstream.requests) == 1
    assert (first.cached, first.cache_status, first.cache_age, first.attempts) == (False, "miss", None, 1)
    assert (second.cached, second.cache_status, second.attempts) == (True, "hit", 0)
    assert second.cache_age is not None
    assert 0 <= second.cache_age < 5
    assert second.request_id != first.request_id
    assert (first.cost_usd, second.cost_usd) == (1.5, 0.0)
    for same in ("text", "model", "provider", "deployment_id", "usage", "id", "finish_reason", "raw_response"):
        assert getattr(second, same) == getattr(first, same), same
    (hit,) = [event for event in events if isinstance(event, CacheHit)]
    assert (hit.call_id, hit.tier, hit.stale, hit.saved_usd) == (second.request_id, "memory", False, 1.5)
    assert hit.saved_seconds > 0
    assert not [event for event in events if isinstance(event, AttemptEnded)]
    (settled,) = [event for event in events if isinstance(event, CallSettled)]
    assert settled.outcome.value.cost_usd == 0.0


async def test_spellings_of_the_same_request_hit(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True, aliases={"other": "m"}) as gateway:
        await gateway.generate_async("hello", temperature=1, stop="x")
        for again in (
            gateway.generate_async(messages=[{"content": "hello", "role": "user"}], temperature=1.0, stop=["x"]),
            gateway.generate_async(
                messages=[{"role": "user", "content": [{"type": "text", "text": "hello"}], "name": None}],
                temperature=1,
                stop="x",
                top_p=None,
                n=1,
            ),
            gateway.generate_async("hello", "other", temperature=1, stop="x", presence_penalty=0.0),
            gateway.generate_async("hello", temperature=1, stop="x", max_retries=3, timeout=9, tags=["a"]),
        ):
            assert (await again).cached
        for other in ({"temperature": 0.9, "stop": "x"}, {"temperature": 1}, {"temperature": 1, "stop": "x", "n": 2}):
            assert not (await gateway.generate_async("hello", **other)).cached


async def test_a_deployments_own_parameter_is_not_the_usual_one(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True, params={"n": 2}) as gateway:
        await gateway.generate_async("hello")
        assert not (await gateway.generate_async("hello", n=1)).cached
        assert (await gateway.generate_async("hello", n=1)).cached


async def test_tenants_and_namespaces_are_apart(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True) as gateway:
        for wanted in ({"tenant_id": "a"}, {"tenant_id": "b"}, {}, {"cache": {"namespace": "x"}}):
            assert not (await gateway.generate_async("hello", **wanted)).cached
            assert (await gateway.generate_async("hello", **wanted)).cached
    assert len(upstream.requests) == 4


async def test_no_cache_reads_nothing_and_no_store_keeps_nothing(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True) as gateway:
        assert (await gateway.generate_async("a", cache={"no_store": True})).cache_status == "miss"
        assert (await gateway.generate_async("a")).cache_status == "miss"
        for _ in range(2):
            past = await gateway.generate_async("a", cache={"no-cache": True})
            assert (past.cache_status, past.cached) == ("bypass", False)
        assert (await gateway.generate_async("a", cache={"use-cache": False})).cache_status == "bypass"
        assert (await gateway.generate_async("a")).cache_status == "hit"
        assert (await gateway.generate_async("a", cache={"s-maxage": 0})).cache_status == "miss"
        assert (await gateway.generate_async("a", cache={"s-maxage": 60})).cache_status == "hit"


async def test_an_answer_lives_as_long_as_its_call_says(upstream: Any) -> None:
    ahead = 0.0
    import time

    cache = CacheMechanism(CacheConfig(default_ttl=50), now=lambda: time.time() + ahead)
    params = {"model": "openai/m", "api_base": upstream.url, "api_key": "sk-test-0123456789abcdef"}
    models: Any = [{"model_name": "m", "litellm_params": params}]
    config = GatewayConfig(model_list=models, default_model="m", cache=cache, deduplication={"enabled": False})  # type: ignore[arg-type]
    async with LiteLLMGateway(config) as gateway:
        await gateway.generate_async("short", cache_ttl=10)
        await gateway.generate_async("usual")
        await gateway.generate_async("long", cache={"ttl": 100})
        for ahead, hits in ((9, [True, True, True]), (11, [False, True, True]), (99, [False, False, True])):
            wanted = {"cache": {"no_store": True}}
            got = [(await gateway.generate_async(text, **wanted)).cached for text in ("short", "usual", "long")]
            assert got == hits, ahead


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"cache_ttl": 0}, "cache_ttl"),
        ({"cache_ttl": -1}, "cache_ttl"),
        ({"cache_ttl": float("nan")}, "cache_ttl"),
        ({"cache_ttl": float("inf")}, "cache_ttl"),
        ({"cache_ttl": "60"}, "cache_ttl"),
        ({"cache_ttl": True}, "cache_ttl"),
        ({"cache": True}, "cache"),
        ({"cache": {"no_cach": True}}, "cache.no_cach"),
        ({"cache": {"no_cache": "yes"}}, "cache.no_cache"),
        ({"cache": {"no-store": 1}}, "cache.no_store"),
        ({"cache": {"namespace": 5}}, "cache.namespace"),
        ({"cache": {"ttl": -5}}, "cache.ttl"),
        ({"cache": {"s_maxage": -5}}, "cache.s_maxage"),
    ],
)
@pytest.mark.parametrize("caching", [True, False])
async def test_a_wrong_wish_is_refused_by_its_name(
    gateway_of: Any, upstream: Any, wanted: dict[str, Any], named: str, caching: bool
) -> None:
    async with gateway_of(upstream, enable_caching=caching) as gateway:
        with pytest.raises(BadRequest) as refused:
            await gateway.generate_async("hello", **wanted)
        with pytest.raises(BadRequest):
            await gateway.embed_async("hello", **wanted)
    assert refused.value.param == named
    assert named in str(refused.value)
    assert not upstream.requests


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"cache_ttl": 0}, "cache_ttl"),
        ({"cache_ttl": -1}, "cache_ttl"),
        ({"cache": {"default_ttl": -1}}, "cache.default_ttl"),
        ({"cache": {"backend": "memcached"}}, "cache.backend"),
        ({"cache": {"max_entries": 0}}, "cache.max_entries"),
        ({"cache": {"backend": "redis"}}, "redis_url"),
        ({"cache": {"defautl_ttl": 5}}, "did you mean default_ttl"),
        ({"cache": 5}, "cache"),
        ({"cache": {"path": "/proc/nowhere/cache"}}, "cache.path"),
        ({"cache": "http://somewhere"}, "redis_url"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        LiteLLMGateway(GatewayConfig(providers=["simulator"], enable_caching=True, **settings))


@pytest.mark.parametrize(
    ("settings", "on"),
    [
        ({}, False),
        ({"enable_caching": False}, False),
        ({"enable_caching": True}, True),
        ({"cache": {"default_ttl": 5}}, True),
        ({"cache": "memory"}, True),
        ({"enable_caching": False, "cache": "memory"}, False),
    ],
)
async def test_it_is_on_where_it_is_asked_for(gateway_of: Any, upstream: Any, settings: Any, on: bool) -> None:
    async with gateway_of(upstream, **settings) as gateway:
        await gateway.generate_async("a")
        again = await gateway.generate_async("a")
        assert (gateway.cache is not None) is on
    assert again.cached is on
    assert again.cache_status == ("hit" if on else None)


def test_it_can_be_configured_by_the_environment(tmp_path: Path) -> None:
    config = GatewayConfig.from_env({"GATEWRIGHT_CACHE": "memory", "GATEWRIGHT_CACHE_TTL": "60"})
    assert isinstance(config.cache, CacheConfig)
    assert config.cache_ttl == 60
    path = str(tmp_path / "c.sqlite3")
    config = GatewayConfig.from_env({"GATEWRIGHT_CACHE__PATH": path, "GATEWRIGHT_CACHE__DEFAULT_TTL": "5"})
    assert isinstance(config.cache, CacheConfig)
    assert (config.cache.backend, config.cache.path, config.cache.default_ttl) == ("file", path, 5)
    config = GatewayConfig.from_env({"GATEWRIGHT_CACHE": "redis://:secret@localhost/3"})
    assert isinstance(config.cache, CacheConfig)
    assert config.cache.backend == "redis"
    assert "secret" not in repr(config)


async def test_streams_are_not_kept_and_answered_only_where_configured(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True) as gateway:
        assert [text async for text in gateway.generate_stream("3")] == ["0 ", "1 ", "2 "]
        assert not (await gateway.generate_async("3")).cached
        stream = gateway.generate_stream("3")
        assert "".join([text async for text in stream]) == "0 1 2 "
        assert stream.response.cached is False
    async with gateway_of(upstream, cache={"answer_streams": True}) as gateway:
        whole = await gateway.generate_async("3", cache={"namespace": "s"})
        stream = gateway.generate_stream("3", cache={"namespace": "s"})
        assert "".join([text async for text in stream]) == whole.text
        assert (stream.response.cached, stream.cost_usd, stream.finish_reason) == (True, 0.0, "stop")
        before = len(upstream.requests)
        stream = gateway.generate_stream("3", cache={"namespace": "s"}, stream_options={"include_usage": True})
        assert "".join([text async for text in stream]) == whole.text
        assert len(upstream.requests) == before


async def test_a_batch_asks_only_for_the_vectors_that_are_missing(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True, params={"input_cost_per_token": 0.5}) as gateway:
        first = await gateway.embed_async(["a", "bb"])
        second = await gateway.embed_async(["ccc", "a", "bb", "a"])
        third = await gateway.embed_async(["bb", "ccc"])
        alone = await gateway.embed_async("a")
        other = await gateway.embed_async("a", dimensions=2)
        saved = gateway.cache.stats()
    assert upstream.batches == [2, 1, 1]
    assert upstream.requests[1]["input"] == ["ccc"]
    vectors = {"a": first.embeddings[0], "bb": first.embeddings[1], "ccc": second.embeddings[0]}
    assert second.embeddings == [vectors[text] for text in ("ccc", "a", "bb", "a")]
    assert third.embeddings == [vectors["bb"], vectors["ccc"]]
    assert alone.embeddings == [vectors["a"]]
    assert [one.usage.prompt_tokens for one in (first, second, third, alone)] == [2, 1, 0, 0]
    assert [one.cost_usd for one in (first, second, third, alone)] == [1.0, 0.5, 0.0, 0.0]
    assert [one.cached for one in (first, second, third, alone, other)] == [False, False, True, True, False]
    assert [one.attempts for one in (second, third)] == [1, 0]
    assert [one.cache_status for one in (second, third)] == ["miss", "hit"]
    assert saved.saved_usd == pytest.approx(1.0 + 1.0 + 0.5)
    assert (saved.hits, saved.misses) == (2, 3)


async def test_what_a_caller_does_to_an_answer_nobody_else_sees(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True) as gateway:
        for _ in range(3):
            answer = await gateway.generate_async("hello")
            assert answer.text == "hello"
            assert answer.raw_response["id"] == "chatcmpl-1"
            answer.choices.clear()
            vectors = await gateway.embed_async(["a", "bb"])
            assert vectors.embeddings[0] == pytest.approx([0.6, 0.8])
            vectors.embeddings[0].clear()


class Form(BaseModel):
    a: int


async def test_an_answer_that_does_not_fit_is_not_given_again(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True) as gateway:
        for asked in (1, 2):
            with pytest.raises(InvalidProviderResponse):
                await gateway.generate_async('{"b": 1}', response_format=Form)
            assert len(upstream.requests) == asked
        for _ in range(2):
            assert (await gateway.generate_async('{"a": 1}', response_format=Form)).parsed == Form(a=1)
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("backend", ["file", "redis"])
async def test_a_gateway_that_closes_has_kept_what_it_answered(
    gateway_of: Any, upstream: Any, tmp_path: Path, redis_server: Any, backend: str
) -> None:
    cache = redis_server.url if backend == "redis" else f"file://{tmp_path / 'cache.sqlite3'}"
    for expected in (False, True):
        async with gateway_of(upstream, cache=cache) as gateway:
            assert (await gateway.generate_async("hello")).cached is expected
    for expected in (False, True):
        with gateway_of(upstream, cache=cache) as gateway:
            assert gateway.generate("bye").cached is expected


async def test_one_cache_serves_several_gateways_and_is_its_owners(
    gateway_of: Any, upstream: Any, tmp_path: Path
) -> None:
    async with CacheMechanism(CacheConfig(path=str(tmp_path / "c"))) as cache:
        for expected in (False, True):
            async with gateway_of(upstream, cache=cache) as gateway:
                assert gateway.cache is cache
                assert (await gateway.generate_async("hello", tenant_id="a")).cached is expected
        assert await cache.invalidate_pattern_async("chat:m:*", "a") == 1
        assert await cache.get_async("k") is None


async def test_guards_change_what_is_given(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True, enable_validation=True) as gateway:
        await gateway.generate_async("hello")
        assert (await gateway.generate_async("hello")).cached
        gateway.validation_manager.get_guardrail().add_validator(lambda output: ("hello" not in output, "no greetings"))
        for _ in range(2):
            with pytest.raises(GatewayError):
                await gateway.generate_async("hello")
    assert len(upstream.requests) >= 3


async def test_a_redis_that_dies_fails_no_call_and_shows_in_the_health(
    gateway_of: Any, upstream: Any, redis_server: Any, until_async: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.storage.keyvalue.redis.PATIENCE", 0.5)
    loop = asyncio.get_running_loop()
    async with gateway_of(upstream, cache={"redis_url": redis_server.url, "memory_ttl": 0}) as gateway:
        await gateway.generate_async("0")
        await until_async(lambda: gateway.cache.stats().stored == 1)
        assert (await gateway.generate_async("0")).cached
        redis_server.pause()
        began = loop.time()
        answers = await asyncio.gather(*(gateway.generate_async(str(number)) for number in range(20)))
        assert loop.time() - began < 5.0
        assert [answer.text for answer in answers] == [str(number) for number in range(20)]
        assert not any(answer.cached for answer in answers)
        assert (await gateway.get_health())["stores"]["cache"]["status"] == "unhealthy"
        redis_server.go_on()
        for _ in range(200):
            if (await gateway.generate_async("0")).cached:
                break
            await asyncio.sleep(0.05)
        assert (await gateway.generate_async("0")).cached
        assert (await gateway.get_health())["stores"]["cache"]["status"] == "healthy"
        assert gateway.cache.stats().errors > 0


async def test_identical_calls_at_once_are_one_with_deduplication(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True, deduplication={"enabled": True}) as gateway:
        answers = await asyncio.gather(*(gateway.generate_async("hello") for _ in range(20)))
        assert [answer.cached for answer in answers].count(False) == 1
        assert (await gateway.generate_async("hello")).cache_status == "hit"
        assert gateway.cache.stats().stored == 1
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("backend", ["file", "redis"])
async def test_another_gateway_finds_what_one_has_kept(
    gateway_of: Any, upstream: Any, tmp_path: Path, redis_server: Any, backend: str, until_async: Any
) -> None:
    cache = redis_server.url if backend == "redis" else f"file://{tmp_path / 'cache.sqlite3'}"
    events: list[Any] = []
    async with gateway_of(upstream, cache=cache) as gateway:
        await gateway.generate_async("hello", tenant_id="a")
        await gateway.embed_async(["x", "y"], tenant_id="a")
        await until_async(lambda: gateway.cache.stats().stored == 2)
    async with gateway_of(upstream, cache=cache) as gateway:
        gateway.subscribe(events.append)
        assert (await gateway.generate_async("hello", tenant_id="a")).cached
        assert (await gateway.generate_async("hello", tenant_id="a")).cached
        assert (await gateway.embed_async(["y", "x"], tenant_id="a")).cached
        assert not (await gateway.generate_async("hello", tenant_id="b")).cached
        assert (await gateway.get_health())["stores"]["cache"]["status"] == "healthy"
    assert [event.tier for event in events if isinstance(event, CacheHit)] == [backend, "memory", backend]
    assert len(upstream.requests) == 3


def test_blocking_callers_in_many_threads(gateway_of: Any, upstream: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with gateway_of(upstream, enable_caching=True) as gateway, ThreadPoolExecutor(8) as pool:
        gateway.generate("hello")
        assert all(answer.cached for answer in pool.map(gateway.generate, ["hello"] * 64))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("params", "settings"),
    [
        ({"type": "local", "ttl": 60}, {"backend": "memory", "default_ttl": 60}),
        ({"ttl": 60, "supported_call_types": ["acompletion"], "mode": "default_on"}, {"backend": "memory"}),
        ({"type": "redis", "url": "redis://a/1"}, {"backend": "redis"}),
        ({"type": "redis", "host": "h", "port": "6380", "password": "os.environ/THE_WORD"}, {"backend": "redis"}),
        ({"type": "redis", "host": "h", "ssl": True, "namespace": "n"}, {"redis_namespace": "n"}),
        ({"type": "disk", "disk_cache_dir": "/tmp/x"}, {"backend": "file", "path": "/tmp/x/cache.sqlite3"}),
    ],
)
def test_litellms_file_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], settings: dict[str, Any]
) -> None:
    monkeypatch.setenv("THE_WORD", "p@ss/word")
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"litellm_settings": {"cache": True, "cache_params": params}}))
    config = GatewayConfig.from_yaml(file)
    assert config.enable_caching is True
    assert isinstance(config.cache, CacheConfig)
    assert {name: getattr(config.cache, name) for name in settings} == settings
    if "password" in params:
        assert config.cache.redis_url is not None
        assert config.cache.redis_url.get_secret_value() == "redis://:p%40ss%2Fword@h:6380/0"
        assert "p%40ss" not in repr(config)
    if params.get("ssl"):
        assert config.cache.redis_url is not None
        assert config.cache.redis_url.get_secret_value() == "rediss://h:6379/0"


def test_a_redis_of_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"litellm_settings": {"cache": True, "cache_params": {"type": "redis"}}}))
    for name in ("REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    config = GatewayConfig.from_yaml(file)
    assert isinstance(config.cache, CacheConfig)
    assert config.cache.backend == "memory"
    monkeypatch.setenv("REDIS_HOST", "h")
    monkeypatch.setenv("REDIS_PORT", "6380")
    config = GatewayConfig.from_yaml(file)
    assert isinstance(config.cache, CacheConfig)
    assert config.cache.redis_url is not None
    assert config.cache.redis_url.get_secret_value() == "redis://h:6380/0"


def test_what_litellm_has_and_is_not_here_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"litellm_settings": {"cache": True, "cache_params": {"type": "qdrant-semantic"}}}))
    with pytest.raises(ConfigurationError, match=r"litellm_settings.cache_params.backend: expected 'memory', 'file'"):
        GatewayConfig.from_yaml(file)


def test_our_own_words_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("enable_caching: true\ncache_ttl: 60\ncache: {backend: memory, stale_if_error: 600}\n")
    config = GatewayConfig.from_yaml(file)
    assert isinstance(config.cache, CacheConfig)
    assert (config.cache_ttl, config.cache.stale_if_error) == (60, 600)


async def test_what_litellm_answered_is_kept_too(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, enable_caching=True, params={"lane": "litellm"}) as gateway:
        first = await gateway.generate_async("hello")
        second = await gateway.generate_async("hello")
        await gateway.embed_async(["a", "bb"])
        vectors = await gateway.embed_async(["bb", "a"])
    assert (first.cached, second.cached, vectors.cached) == (False, True, True)
    assert second.raw_response == first.raw_response
    assert second.choices == first.choices
    assert len(upstream.requests) == 2
