"""Circuit breakers in a gateway: over real sockets, by hand, and as events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import BadRequest, ConfigurationError, GatewayError, NotFound, ProviderUnavailable
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.pipeline.events import BreakerChanged
from gatewright.testing import ScriptedProvider

QUICK = CircuitBreakerConfig(failure_threshold=3, success_threshold=2, timeout=0.2, max_open_time=0.4)
STEADY = CircuitBreakerConfig(failure_threshold=3, timeout=60)


async def test_a_dead_upstream_with_another_beside_it(remotes: Any, gateway_over: Any, hear: Any) -> None:
    dying, spare = remotes(), remotes()
    asked = failed = 0
    async with gateway_over(dying, spare, circuit_breaker=QUICK, max_retries=1) as gateway:
        heard = hear(gateway)

        async def load(seconds: float) -> None:
            nonlocal asked, failed
            until = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < until:
                asked += 1
                try:
                    await gateway.generate_async(f"{asked}")
                except GatewayError:
                    failed += 1
                await asyncio.sleep(0.002)

        async def all_load(seconds: float) -> None:
            await asyncio.gather(*(load(seconds) for _ in range(4)))

        await all_load(0.3)
        await asyncio.to_thread(dying.kill)
        await all_load(1.0)
        before = dying.asked
        await asyncio.to_thread(dying.start)
        await all_load(1.0)
        states = {one.deployment_id: one.state for one in gateway.circuit_breakers()}
    assert asked > 200
    assert failed <= asked * 0.001
    assert states == {"m#0": "closed", "m#1": "closed"}
    assert dying.asked > before + 2
    changes = [(one.before, one.after) for one in heard.of(BreakerChanged)]
    assert changes[0] == ("closed", "open")
    assert ("half_open", "open") in changes
    assert changes[-1] == ("half_open", "closed")
    assert {one.deployment_id for one in heard.of(BreakerChanged)} == {"m#0"}


async def test_who_waits_for_a_probe_goes_at_once_when_breakers_are_switched_off(gateway_of: Any) -> None:
    provider = ScriptedProvider([ProviderUnavailable("down")] * 3 + ["well"])
    async with gateway_of(provider, circuit_breaker=CircuitBreakerConfig(failure_threshold=3, timeout=20)) as gateway:
        for number in range(3):
            with pytest.raises(ProviderUnavailable):
                await gateway.generate_async(f"{number}", max_retries=0)
        waiting = asyncio.create_task(gateway.generate_async("waits", timeout=60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        gateway.configure_circuit_breaker(CircuitBreakerConfig(enabled=False))
        assert (await asyncio.wait_for(waiting, 5)).text == "well"


async def test_a_fallback_model_takes_over_at_no_wait(upstream: Any, gateway_of: Any) -> None:
    down = ScriptedProvider([ProviderUnavailable("down")] * 100)
    config: dict[str, Any] = {
        "circuit_breaker": STEADY,
        "providers": ["simulator"],
        "fallbacks": {"m": ["simulator/spare"]},
    }
    async with gateway_of(down, **config) as gateway:
        answers = [await gateway.generate_async(f"{n}") for n in range(20)]
    assert len(down.calls) == STEADY.failure_threshold
    assert {answer.provider for answer in answers} == {"simulator"}


async def test_with_all_open_the_next_probe_is_named(gateway_of: Any) -> None:
    down = ScriptedProvider([ProviderUnavailable("down")] * 100)
    async with gateway_of(down, circuit_breaker=STEADY, timeout=10) as gateway:
        for number in range(3):
            with pytest.raises(ProviderUnavailable):
                await gateway.generate_async(f"{number}")
        with pytest.raises(ProviderUnavailable) as refused:
            await gateway.generate_async("again")
        assert refused.value.retry_after is not None
        assert 50 < refused.value.retry_after <= 66
        (breaker,) = gateway.circuit_breakers()
        assert (breaker.state, breaker.openings) == ("open", 1)
    assert len(down.calls) == 3


async def test_with_all_open_a_patient_call_waits_for_the_probe(gateway_of: Any) -> None:
    weak = ScriptedProvider([*[ProviderUnavailable("down")] * 3, "back", "again"])
    async with gateway_of(weak, circuit_breaker=QUICK, timeout=10) as gateway:
        for number in range(3):
            with pytest.raises(ProviderUnavailable):
                await gateway.generate_async(f"{number}")
        assert (await gateway.generate_async("x")).text == "back"
        assert (await gateway.generate_async("y")).text == "again"
        assert gateway.circuit_breakers()[0].state == "closed"


async def test_a_callers_own_mistakes_open_nothing(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([BadRequest("no")] * 20), circuit_breaker=STEADY) as gateway:
        for number in range(20):
            with pytest.raises(BadRequest):
                await gateway.generate_async(f"{number}")
        assert gateway.circuit_breakers()[0].state == "closed"


async def test_it_is_switched_on_while_the_gateway_lives(gateway_of: Any, hear: Any) -> None:
    provider = ScriptedProvider(["fine", *[ProviderUnavailable("down")] * 5])
    async with gateway_of(provider, circuit_breaker={"enabled": False}) as gateway:
        heard = hear(gateway)
        assert gateway.circuit_breakers() == []
        await gateway.generate_async("x")
        gateway.configure_circuit_breaker(STEADY)
        for number in range(5):
            with pytest.raises(ProviderUnavailable):
                await gateway.generate_async(f"{number}", timeout=5)
        (change,) = heard.of(BreakerChanged)
    assert (change.after, change.reason, change.deployment_id) == ("open", "failures", "m#0")
    assert len(provider.calls) == 4


async def test_it_is_on_without_being_asked_for(gateway_of: Any, hear: Any) -> None:
    provider = ScriptedProvider([ProviderUnavailable("down")] * 20)
    async with gateway_of(provider, max_retries=0) as gateway:
        heard = hear(gateway)
        for number in range(7):
            with pytest.raises(ProviderUnavailable):
                await gateway.generate_async(f"{number}", timeout=5)
        (change,) = heard.of(BreakerChanged)
    assert (change.after, change.reason) == ("open", "failures")
    assert len(provider.calls) == 5


async def test_it_is_switched_off_for_one_provider_or_for_all(gateway_of: Any) -> None:
    provider = ScriptedProvider([ProviderUnavailable("down")] * 30)
    off = CircuitBreakerConfig(enabled=False)
    async with gateway_of(provider, max_retries=0) as gateway:
        for number, (config, name) in enumerate([(off, "own"), (None, None)]):
            if config is None:
                gateway.configure_circuit_breaker(off)
            else:
                gateway.configure_circuit_breaker(config, provider=name)
            for place in range(7):
                with pytest.raises(ProviderUnavailable):
                    await gateway.generate_async(f"{number} {place}", timeout=5)
            assert gateway.circuit_breakers() == []
    assert len(provider.calls) == 14


async def test_a_changed_configuration_holds_at_once(gateway_of: Any) -> None:
    provider = ScriptedProvider([ProviderUnavailable("down")] * 10)
    async with gateway_of(provider, circuit_breaker=STEADY) as gateway:
        with pytest.raises(ProviderUnavailable):
            await gateway.generate_async("x")
        gateway.configure_circuit_breaker(CircuitBreakerConfig(failure_threshold=2), provider="own")
        with pytest.raises(ProviderUnavailable):
            await gateway.generate_async("y")
        assert gateway.circuit_breakers()[0].state == "open"


@pytest.mark.parametrize("choice", [{"deployment_id": "m#0"}, {"provider": "own"}, {}])
def test_by_hand(gateway_of: Any, hear: Any, choice: dict[str, str]) -> None:
    provider = ScriptedProvider(["one", "two", "three"])
    with gateway_of(provider, circuit_breaker=STEADY, timeout=5) as gateway:
        heard = hear(gateway)
        assert gateway.generate("a").text == "one"
        gateway.open_circuit_breaker(**choice)
        assert gateway.circuit_breakers()[0].by_hand
        with pytest.raises(ProviderUnavailable, match="at present"):
            gateway.generate("b")
        gateway.close_circuit_breaker(**choice)
        assert gateway.generate("c").text == "two"
        gateway.open_circuit_breaker(**choice)
        gateway.reset_circuit_breaker(**choice)
        assert gateway.generate("d").text == "three"
        assert gateway.circuit_breakers()[0].openings == 0
    assert [(one.after, one.reason) for one in heard.of(BreakerChanged)] == [
        ("open", "by_hand"),
        ("closed", "by_hand"),
        ("open", "by_hand"),
        ("closed", "by_hand"),
    ]


async def test_a_hand_opens_a_way_for_those_who_wait(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, circuit_breaker=QUICK, max_retries=1) as gateway:
        await gateway.generate_async("a")
        gateway.open_circuit_breaker("m#0")
        gateway.close_circuit_breaker("m#0")
        assert (await gateway.generate_async("b")).text == "b"


async def test_by_hand_needs_a_name_that_there_is(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, circuit_breaker=STEADY) as gateway:
        await gateway.generate_async("a")
        with pytest.raises(NotFound, match="m#0"):
            gateway.open_circuit_breaker("m#00")
        with pytest.raises(NotFound, match="openai"):
            gateway.open_circuit_breaker(provider="openia")
        assert gateway.circuit_breakers()[0].state == "closed"


async def test_by_hand_needs_breakers(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, circuit_breaker={"enabled": False}) as gateway:
        for act in (gateway.open_circuit_breaker, gateway.close_circuit_breaker, gateway.reset_circuit_breaker):
            with pytest.raises(ConfigurationError, match="configure_circuit_breaker"):
                act("m#0")


async def test_a_stream_that_breaks_counts_and_one_that_is_left_does_not(gateway_of: Any) -> None:
    script = [["a", ProviderUnavailable("gone")], ["a", "b", "c"], ["a", ProviderUnavailable("gone")]] * 2
    once = CircuitBreakerConfig(failure_threshold=4, timeout=60)
    async with gateway_of(ScriptedProvider(script), circuit_breaker=once) as gateway:
        for number in range(6):
            stream = gateway.generate_stream(f"{number}")
            await anext(aiter(stream))
            if number % 3 == 1:
                await stream.aclose()
            else:
                with pytest.raises(GatewayError):
                    async for _ in stream:
                        pass
        (breaker,) = gateway.circuit_breakers()
    assert breaker.state == "open"
    assert breaker.failed + breaker.succeeded == 4
