"""Calls that find no room wait for it, whatever the limit applies to, and however they are made."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import DeadlineExceeded, RateLimited
from gatewright.layers.rate_limiter import RateLimitConfig
from gatewright.pipeline.events import CallAdmitted, CallQueued

FAST = RateLimitConfig(requests_per_minute=3_000, burst_size=1)
"""One call every 20 ms: of some that come together each but the first waits."""
ONE = RateLimitConfig(requests_per_minute=0.001, burst_size=1)
"""One call, and no other while the test lasts."""
CALLS = 6

SCOPES = {
    "global:": {},
    "tenant:acme": {"tenant_id": "acme"},
    "model:m": {"model": "m"},
    "tenant_model:('acme', 'm')": {"tenant_id": "acme", "model": "m"},
    "key:k1": {"key_id": "k1"},
}
CALLER: dict[str, Any] = {"tenant_id": "acme", "key_id": "k1"}


@pytest.mark.parametrize("scope", SCOPES)
async def test_awaiting_callers_wait(gateway_of: Any, upstream: Any, hear: Any, scope: str) -> None:
    async with gateway_of(upstream) as gateway:
        gateway.configure_rate_limiting(FAST, **SCOPES[scope])
        heard = hear(gateway)
        answers = await asyncio.gather(*(gateway.generate_async(f"{n}", **CALLER) for n in range(CALLS)))
    assert [answer.text for answer in answers] == [f"{n}" for n in range(CALLS)]
    assert {event.limit for event in heard.of(CallQueued)} == {scope}
    assert len(heard.of(CallQueued)) == len(heard.of(CallAdmitted)) > 0


@pytest.mark.parametrize("scope", SCOPES)
def test_blocking_callers_wait(gateway_of: Any, upstream: Any, hear: Any, scope: str) -> None:
    with gateway_of(upstream) as gateway, ThreadPoolExecutor(CALLS) as threads:
        gateway.configure_rate_limiting(FAST, **SCOPES[scope])
        heard = hear(gateway)
        answers = list(threads.map(lambda n: gateway.generate(f"{n}", **CALLER).text, range(CALLS)))
    assert answers == [f"{n}" for n in range(CALLS)]
    assert {event.limit for event in heard.of(CallQueued)} == {scope}


async def test_streams_and_embeddings_wait(gateway_of: Any, upstream: Any, hear: Any) -> None:
    async with gateway_of(upstream, rate_limit=FAST) as gateway:
        heard = hear(gateway)

        async def read(count: int) -> str:
            return "".join([text async for text in gateway.generate_stream(f"{count}")])

        streamed = asyncio.gather(*(read(count) for count in (1, 2, 3)))
        vectors = asyncio.gather(*(gateway.embed_async(text) for text in ("a", "bb", "ccc")))
        assert await streamed == ["0 ", "0 1 ", "0 1 2 "]
        assert [len(one.embeddings) for one in await vectors] == [1, 1, 1]
    assert heard.of(CallAdmitted)


async def test_an_attempt_waits_for_its_deployment(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient, params={"max_parallel_requests": 1}) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{n}")) for n in range(3)]
        await until_async(lambda: gateway.queue_status().length == 2)
        assert gateway.queue_status().by_limit == {"deployment:m#0": 2}
        patient.release.set()
        await asyncio.gather(*calls)
    assert patient.most == 1


async def test_how_calls_wait_for_a_deployment_changes_with_how_all_wait(
    gateway_of: Any, patient: Any, until_async: Any
) -> None:
    async with gateway_of(patient, params={"max_parallel_requests": 1}) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{n}")) for n in range(2)]
        await until_async(lambda: gateway.queue_status().length == 1)
        gateway.configure_rate_limiting(RateLimitConfig(enable_queuing=False))
        with pytest.raises(RateLimited, match="deployment:m#0"):
            await calls[1]
        with pytest.raises(RateLimited, match="calls do not wait"):
            await gateway.generate_async("another")
        gateway.configure_rate_limiting(RateLimitConfig(queue_timeout=0.05))
        with pytest.raises(RateLimited, match="in vain"):
            await gateway.generate_async("a third")
        patient.release.set()
        await calls[0]


async def test_keys_wait(patient: Any, gateway_of: Any, until_async: Any) -> None:
    async with gateway_of(patient) as gateway:
        await gateway._home.arrive(settle=True)
        gateway._assembly.limit("key", "k1", RateLimitConfig(max_concurrent=1))
        calls = [asyncio.create_task(gateway.generate_async(f"{n}", key_id="k1")) for n in range(2)]
        other = asyncio.create_task(gateway.generate_async("other", key_id="k2"))
        await until_async(lambda: patient.started == 2 and gateway.queue_status().length == 1)
        assert gateway.queue_status().by_limit == {"key:k1": 1}
        patient.release.set()
        await asyncio.gather(*calls, other)


async def test_all_limits_that_apply_must_have_room(gateway_of: Any, patient: Any, until_async: Any) -> None:
    two = RateLimitConfig(max_concurrent=2)
    one = RateLimitConfig(max_concurrent=1)
    async with gateway_of(patient, rate_limit=two, tenant_rate_limits={"a": one}) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id="a")) for n in range(2)]
        await until_async(lambda: patient.started == 1 and gateway.queue_status().length == 1)
        calls += [asyncio.create_task(gateway.generate_async(f"b{n}", tenant_id="b")) for n in range(2)]
        await until_async(lambda: patient.started == 2 and gateway.queue_status().length == 2)
        assert gateway.queue_status().by_tenant == {"a": 1, "b": 1}
        patient.release.set()
        await asyncio.gather(*calls)
    assert patient.most == 2


async def test_each_tenant_by_the_star(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient) as gateway:
        gateway.configure_rate_limiting(RateLimitConfig(max_concurrent=1), tenant_id="*")
        calls = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id=f"t{n % 3}")) for n in range(6)]
        await until_async(lambda: patient.started == 3 and gateway.queue_status().length == 3)
        patient.release.set()
        await asyncio.gather(*calls)


async def test_an_alias_shares_its_models_limit(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, aliases={"other": "m"}) as gateway:
        gateway.configure_rate_limiting(ONE.model_copy(update={"enable_queuing": False}), model="other")
        await gateway.generate_async("a", model="m")
        with pytest.raises(RateLimited, match="model:m"):
            await gateway.generate_async("b", model="other")


async def test_the_status_names_who_waits(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient, rate_limit=RateLimitConfig(max_concurrent=1)) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id="a")) for n in range(3)]
        await until_async(lambda: gateway.queue_status().length == 2)
        status = gateway.queue_status()
        assert [call.position for call in status.calls] == [1, 2]
        assert {call.tenant for call in status.calls} == {"a"}
        assert all(call.waited >= 0 and call.expected_wait >= 0 for call in status.calls)
        patient.release.set()
        await asyncio.gather(*calls)
        assert gateway.queue_status().length == 0


async def test_without_queuing_it_is_refused_at_once(gateway_of: Any, upstream: Any, hear: Any) -> None:
    limit = RateLimitConfig(requests_per_minute=1, burst_size=1, enable_queuing=False)
    async with gateway_of(upstream, rate_limit=limit) as gateway:
        heard = hear(gateway)
        await gateway.generate_async("a")
        with pytest.raises(RateLimited) as refused:
            await gateway.generate_async("b")
        with pytest.raises(RateLimited):
            await gateway.embed_async("c")
        with pytest.raises(RateLimited):
            async for _ in gateway.generate_stream("1"):
                pass
    assert refused.value.retry_after is not None
    assert 50 < refused.value.retry_after <= 60
    assert refused.value.request_id is not None
    assert heard.of(CallQueued) == []
    assert len(upstream.requests) == 1


async def test_a_wait_longer_than_the_queue_timeout_is_refused_at_once(gateway_of: Any, upstream: Any) -> None:
    limit = RateLimitConfig(requests_per_minute=1, burst_size=1, queue_timeout=0.5)
    async with gateway_of(upstream, rate_limit=limit) as gateway:
        await gateway.generate_async("a")
        with pytest.raises(RateLimited) as refused:
            await gateway.generate_async("b")
        assert gateway.queue_status().length == 0
    assert refused.value.retry_after is not None
    assert refused.value.retry_after > 50


async def test_whoever_waits_in_vain_ends_at_the_queue_timeout(gateway_of: Any, patient: Any) -> None:
    async with gateway_of(patient, rate_limit=RateLimitConfig(max_concurrent=1, queue_timeout=0.05)) as gateway:
        first = asyncio.create_task(gateway.generate_async("a"))
        await asyncio.sleep(0)
        with pytest.raises(RateLimited, match="in vain") as refused:
            await gateway.generate_async("b")
        assert refused.value.retry_after is not None
        patient.release.set()
        await first
        assert (await gateway.generate_async("c")).text == "c"


async def test_a_call_that_cannot_make_its_deadline_is_refused_at_once(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, rate_limit=RateLimitConfig(requests_per_minute=6, burst_size=1)) as gateway:
        await gateway.generate_async("a")
        with pytest.raises(RateLimited, match="has less time"):
            await gateway.generate_async("b", timeout=1.0)


async def test_the_deadline_ends_a_wait(gateway_of: Any, patient: Any) -> None:
    async with gateway_of(patient, rate_limit=RateLimitConfig(max_concurrent=1)) as gateway:
        first = asyncio.create_task(gateway.generate_async("a"))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded):
            await gateway.generate_async("b", timeout=0.05)
        assert gateway.queue_status().length == 0
        patient.release.set()
        await first


async def test_a_full_queue_refuses(gateway_of: Any, patient: Any, until_async: Any) -> None:
    limit = RateLimitConfig(max_concurrent=1, max_queue_size=1)
    async with gateway_of(patient, rate_limit=limit) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{n}")) for n in range(2)]
        await until_async(lambda: gateway.queue_status().length == 1)
        with pytest.raises(RateLimited) as refused:
            await gateway.generate_async("too much")
        assert refused.value.retry_after is not None
        patient.release.set()
        await asyncio.gather(*calls)


async def test_a_cancelled_wait_leaves_no_trace(gateway_of: Any, patient: Any, until_async: Any, limit_of: Any) -> None:
    limit = RateLimitConfig(max_concurrent=1, requests_per_minute=0.001, burst_size=2)
    async with gateway_of(patient, rate_limit=limit) as gateway:
        first = asyncio.create_task(gateway.generate_async("a"))
        second = asyncio.create_task(gateway.generate_async("b"))
        await until_async(lambda: gateway.queue_status().length == 1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert gateway.queue_status().length == 0
        assert limit_of(gateway, "global:").requests == pytest.approx(1, abs=0.1)
        patient.release.set()
        await first
        assert limit_of(gateway, "global:").in_flight == 0
    assert patient.started == 1


async def test_a_changed_limit_lets_those_go_who_wait(gateway_of: Any, upstream: Any, until_async: Any) -> None:
    async with gateway_of(upstream, rate_limit=ONE.model_copy(update={"requests_per_minute": 2.5})) as gateway:
        await gateway.generate_async("a")
        waiting = [asyncio.create_task(gateway.generate_async(f"{n}")) for n in range(1)]
        await until_async(lambda: gateway.queue_status().length == 1)
        # From another thread, which is how an operator's tool may come.
        await asyncio.to_thread(gateway.configure_rate_limiting, FAST)
        assert [answer.text for answer in await asyncio.gather(*waiting)] == ["0"]


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_removed_limit_lets_those_go_who_wait(
    gateway_of: Any, patient: Any, until_async: Any, scope: str
) -> None:
    async with gateway_of(patient) as gateway:
        gateway.configure_rate_limiting(RateLimitConfig(max_concurrent=1), **SCOPES[scope])
        waiting = [asyncio.create_task(gateway.generate_async(f"{n}", **CALLER)) for n in range(4)]
        await until_async(lambda: gateway.queue_status().length == 3)
        gateway.configure_rate_limiting(None, **SCOPES[scope])
        await until_async(lambda: patient.started == 4)
        patient.release.set()
        await asyncio.gather(*waiting)


async def test_a_tighter_limit_holds_for_those_who_wait(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient, rate_limit=RateLimitConfig(max_concurrent=1)) as gateway:
        waiting = [asyncio.create_task(gateway.generate_async(f"{n}")) for n in range(3)]
        await until_async(lambda: gateway.queue_status().length == 2)
        gateway.configure_rate_limiting(RateLimitConfig(max_concurrent=1, enable_queuing=False))
        patient.release.set()
        got = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in got[1:]] == [RateLimited, RateLimited]


async def test_closing_refuses_those_who_wait(gateway_of: Any, patient: Any, until_async: Any) -> None:
    gateway = gateway_of(patient, rate_limit=RateLimitConfig(max_concurrent=1), close_timeout=0)
    calls = [asyncio.create_task(gateway.generate_async(f"{n}")) for n in range(3)]
    await until_async(lambda: gateway.queue_status().length == 2)
    await gateway.aclose()
    got = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one).__name__ for one in got} == {"GatewayClosed"}


def test_many_threads_and_a_limit_of_calls_at_once(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream, rate_limit=RateLimitConfig(max_concurrent=2)) as gateway, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: gateway.generate(f"{n}").text, range(40)))
        assert answers == [f"{n}" for n in range(40)]
        assert threading.active_count() > 1
        (limit,) = gateway.rate_limits()
        assert (limit.in_flight, limit.waiting) == (0, 0)


async def test_limits_by_the_configuration(upstream: Any) -> None:
    limit = {"requests_per_minute": 600}
    config = GatewayConfig(
        providers=["simulator"],
        default_model="simulator/a",
        rate_limit=limit,  # type: ignore[arg-type]
        tenant_rate_limits={"a": limit},  # type: ignore[dict-item]
        model_rate_limits={"simulator/a": limit},  # type: ignore[dict-item]
    )
    async with LiteLLMGateway(config) as gateway:
        await gateway.generate_async("x", tenant_id="a")
        scopes = {one.scope for one in gateway.rate_limits()}
    assert scopes == {"global:", "tenant:a", "model:simulator/a"}


async def test_a_keys_limit_holds_for_that_key_alone(gateway_of: Any, upstream: Any) -> None:
    at_once = ONE.model_copy(update={"enable_queuing": False})
    async with gateway_of(upstream, key_rate_limits={"k1": at_once, "*": FAST}) as gateway:
        await gateway.generate_async("a", **CALLER)
        with pytest.raises(RateLimited, match="key:k1"):
            await gateway.generate_async("b", **CALLER)
        with pytest.raises(RateLimited, match="key:k1"):
            await gateway.generate_async("c", tenant_id="other", key_id="k1")
        await gateway.generate_async("d", tenant_id="acme", key_id="k2")
        await gateway.generate_async("e", tenant_id="acme")
        assert {one.scope for one in gateway.rate_limits()} == {"key:k1", "key:k2"}
        gateway.configure_rate_limiting(None, key_id="k1")
        await gateway.generate_async("f", **CALLER)


def weighted(weight: float, priority: int = 0) -> RateLimitConfig:
    return RateLimitConfig(weight=weight, priority=priority)


async def order(gateway: Any, patient: Any, until_async: Any, change: Any = None) -> list[str]:
    """Have two tenants' calls wait for one place, then give whose go in which order."""
    went: list[str] = []

    async def call(tenant: str, number: int) -> None:
        await gateway.generate_async(f"{tenant}{number}", tenant_id=tenant, max_tokens=10)
        went.append(tenant)

    calls = [asyncio.create_task(call("first", 0))]
    await until_async(lambda: patient.started == 1)
    calls += [asyncio.create_task(call(tenant, number)) for number in range(8) for tenant in "ab"]
    await until_async(lambda: gateway.queue_status().length == 16)
    if change is not None:
        change()
    patient.release.set()
    await asyncio.gather(*calls)
    return went[1:]


ONE_AT_A_TIME = RateLimitConfig(max_concurrent=1)


@pytest.mark.parametrize("when", ["configured", "at run time", "while they wait"])
async def test_weights_and_priorities(gateway_of: Any, patient: Any, until_async: Any, when: str) -> None:
    own = {"a": weighted(1.0), "b": weighted(3.0)}
    settings = {"tenant_rate_limits": own} if when == "configured" else {}
    async with gateway_of(patient, rate_limit=ONE_AT_A_TIME, **settings) as gateway:

        def change() -> None:
            for tenant, config in own.items():
                gateway.configure_rate_limiting(config, tenant_id=tenant)

        if when == "at run time":
            change()
        went = await order(gateway, patient, until_async, change if when == "while they wait" else None)
    # Three of b for each of a, as long as both wait.
    assert [went[:4].count("b"), went[:8].count("b")] in ([3, 6], [3, 5])


async def test_a_higher_priority_goes_first(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient, rate_limit=ONE_AT_A_TIME) as gateway:
        went = await order(
            gateway,
            patient,
            until_async,
            lambda: gateway.configure_rate_limiting(weighted(1.0, priority=1), tenant_id="b"),
        )
    assert went == ["b"] * 8 + ["a"] * 8


@pytest.mark.parametrize("tenant", ["acme", "*"])
@pytest.mark.parametrize("model", ["m", "*"])
async def test_each_tenants_use_of_each_model(gateway_of: Any, upstream: Any, tenant: str, model: str) -> None:
    async with gateway_of(upstream) as gateway:
        once = ONE.model_copy(update={"enable_queuing": False})
        gateway.configure_rate_limiting(once, tenant_id=tenant, model=model)
        await gateway.generate_async("a", tenant_id="acme")
        with pytest.raises(RateLimited, match="tenant_model"):
            await gateway.generate_async("b", tenant_id="acme")
        await gateway.generate_async("c", tenant_id="other")
        if tenant == "*":
            with pytest.raises(RateLimited, match="tenant_model"):
                await gateway.generate_async("d", tenant_id="other")
        gateway.configure_rate_limiting(None, tenant_id=tenant, model=model)
        await gateway.generate_async("e", tenant_id="acme")


async def test_a_limit_that_is_set_again_refuses_nobody_who_goes_in_time(gateway_of: Any, upstream: Any) -> None:
    limit = RateLimitConfig(requests_per_minute=120, burst_size=1)
    async with gateway_of(upstream, rate_limit=limit) as gateway:
        await gateway.generate_async("first")
        calls = [
            asyncio.create_task(gateway.generate_async(f"{n}", tenant_id=f"t{n}", timeout=1.5 if n == 0 else None))
            for n in range(8)
        ]
        await asyncio.sleep(0.05)
        gateway.configure_rate_limiting(RateLimitConfig(requests_per_minute=240, burst_size=1))
        assert (await calls[0]).text
        await asyncio.gather(*calls)
