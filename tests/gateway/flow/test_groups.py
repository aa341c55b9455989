"""Several deployments of one model, each with limits of its own: a call waits for the first of them that has room."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import ConnectionFailed, ProviderUnavailable, RateLimited
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.rate_limiter import RateLimitConfig
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import BreakerChanged, CallAdmitted, CallQueued, Event
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import chunks_of
from gatewright.types.results import Answer, Choice
from gatewright.types.usage import Usage

AT_ONCE = RateLimitConfig(enable_queuing=False)


class Deployed:
    """Answers in its own name after `seconds`, or fails with `error`; `most` is how many calls it had at once."""

    def __init__(self, name: str, *, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.name = name
        self.seconds = seconds
        self.error = error
        self.tokens = 10
        self.asked = self.under_way = self.most = 0

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        self.asked += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
            if self.error is not None:
                raise self.error
            usage = Usage(prompt_tokens=5, completion_tokens=self.tokens - 5, total_tokens=self.tokens)
            answer = Answer(choices=[Choice(text=self.name)], model="m", provider=self.name, usage=usage)
            return Reply.whole(answer, chunks_of)
        finally:
            self.under_way -= 1

    async def aclose(self) -> None: ...


def over(*deployed: tuple[Deployed, dict[str, Any]], **settings: Any) -> LiteLLMGateway:
    """Make a gateway whose model `m` is at these, each with its limits."""
    models: Any = [
        {"model_name": "m", "litellm_params": {"model": f"{one.name}/m", **limits}} for one, limits in deployed
    ]
    config = GatewayConfig(
        **{"model_list": models, "default_model": "m", "max_retries": 0, "close_timeout": 0.2, **settings}
    )

    def maker(one: Deployed) -> Any:
        return lambda _: one

    return LiteLLMGateway(config, providers={one.name: maker(one) for one, _ in deployed})


def idle(gateway: LiteLLMGateway) -> bool:
    return gateway.queue_status().length == 0 and all(one.in_flight == 0 for one in gateway.rate_limits())


async def test_nobody_waits_at_a_slow_one_while_a_fast_one_has_room() -> None:
    slow, fast = Deployed("slow", seconds=0.5), Deployed("fast", seconds=0.005)
    async with over((slow, {"max_parallel_requests": 1}), (fast, {"max_parallel_requests": 5})) as gateway:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(gateway.generate_async(f"{number}") for number in range(60)))
        seconds = asyncio.get_running_loop().time() - began
        assert idle(gateway)
    assert (slow.asked + fast.asked, slow.most, fast.most) == (60, 1, 5)
    assert slow.asked <= 3
    assert seconds < 5  # it was 30 waits of half a second


async def test_who_waits_is_shown_once_and_let_go_once(hear: Any) -> None:
    one, two = Deployed("one", seconds=0.2), Deployed("two", seconds=0.4)
    async with over((one, {"max_parallel_requests": 1}), (two, {"max_parallel_requests": 1})) as gateway:
        heard = hear(gateway)
        calls = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id="acme")) for n in range(5)]
        await asyncio.sleep(0.05)
        status = gateway.queue_status()
        assert (status.length, status.by_tenant, len(status.calls)) == (3, {"acme": 3}, 3)
        assert status.by_limit == {"deployment:m#0": 3, "deployment:m#1": 3}
        health = await gateway.get_health()
        assert health["queues"]["waiting"] == 3
        assert [one["waiting"] for one in health["provider_health"].values()] == [3, 3]
        calls.pop().cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gateway.queue_status().length == 2
        await asyncio.gather(*calls)
        assert idle(gateway)
    assert one.asked + two.asked == 4
    assert (one.most, two.most) == (1, 1)
    assert (len(heard.of(CallQueued)), len(heard.of(CallAdmitted))) == (3, 2)


async def test_a_call_goes_where_its_tokens_have_room() -> None:
    one, two = Deployed("one"), Deployed("two")
    async with over((one, {"tpm": 6000}), (two, {"tpm": 6000}), timeout=5) as gateway:
        one.tokens = two.tokens = 5900
        used_up = (await gateway.generate_async("first")).text
        one.tokens = two.tokens = 10
        names = [(await gateway.generate_async(f"{number}", max_tokens=500)).text for number in range(9)]
    assert used_up not in names


async def test_the_soonest_retry_after_is_told() -> None:
    rare, often = Deployed("rare"), Deployed("often")
    async with over((rare, {"rpm": 1}), (often, {"rpm": 20}), rate_limit=AT_ONCE) as gateway:
        for number in range(21):
            await gateway.generate_async(f"{number}")
        for number in range(4):
            with pytest.raises(RateLimited) as refused:
                await gateway.generate_async(f"again {number}")
            assert refused.value.retry_after is not None
            assert 2 < refused.value.retry_after <= 3


async def test_the_soonest_of_a_model_and_its_fallback_is_told() -> None:
    often, rare = Deployed("often"), Deployed("rare")
    models: Any = [
        {"model_name": "m", "litellm_params": {"model": "often/m", "rpm": 20}},
        {"model_name": "n", "litellm_params": {"model": "rare/m", "rpm": 1}},
    ]
    async with over((often, {}), (rare, {}), model_list=models, fallbacks={"m": ["n"]}, rate_limit=AT_ONCE) as gateway:
        for number in range(21):
            await gateway.generate_async(f"{number}")
        with pytest.raises(RateLimited) as refused:
            await gateway.generate_async("again")
        assert refused.value.retry_after is not None
        assert 2 < refused.value.retry_after <= 3


async def test_a_call_that_is_sent_nowhere_is_charged_nothing_anywhere() -> None:
    one = Deployed("one")
    everyone = RateLimitConfig(requests_per_minute=12, burst_size=3, enable_queuing=False)
    async with over((one, {"rpm": 1}), rate_limit=everyone) as gateway:
        await gateway.generate_async("first")
        for number in range(5):
            with pytest.raises(RateLimited, match="deployment:m#0"):
                await gateway.generate_async(f"{number}")
        level = next(limit for limit in gateway.rate_limits() if limit.scope == "global:")
        assert level.requests == pytest.approx(2, abs=0.2)


async def test_a_breaker_that_opens_lets_those_go_who_wait_for_its_deployment() -> None:
    dead, spare = Deployed("dead", seconds=0.01, error=ConnectionFailed("down")), Deployed("spare")
    models: Any = [
        {"model_name": "m", "litellm_params": {"model": "dead/m", "max_parallel_requests": 1}},
        {"model_name": "n", "litellm_params": {"model": "spare/m"}},
    ]
    breaker = CircuitBreakerConfig(failure_threshold=3, timeout=60)
    async with over(
        (dead, {}), (spare, {}), model_list=models, fallbacks={"m": ["n"]}, circuit_breaker=breaker
    ) as gateway:
        answers = await asyncio.gather(*(gateway.generate_async(f"{number}") for number in range(60)))
        assert idle(gateway)
    assert {answer.text for answer in answers} == {"spare"}
    assert dead.asked == 3


async def test_a_breaker_that_is_opened_by_hand_lets_them_go_too() -> None:
    slow = Deployed("slow", seconds=0.3)
    async with over((slow, {"max_parallel_requests": 1}), timeout=5) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{number}")) for number in range(4)]
        await asyncio.sleep(0.1)
        gateway.open_circuit_breaker("m#0")
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert idle(gateway)
    assert [type(one) for one in done[1:]] == [ProviderUnavailable] * 3
    assert slow.asked == 1


async def test_the_group_waits_for_a_probe_where_some_are_shut_and_some_are_full() -> None:
    dead, full = Deployed("dead", error=ConnectionFailed("down")), Deployed("full", seconds=0.4)
    breaker = CircuitBreakerConfig(failure_threshold=1, success_threshold=1, timeout=0.1, jitter=0)
    async with over(
        (dead, {"max_parallel_requests": 2}),
        (full, {"max_parallel_requests": 1}),
        circuit_breaker=breaker,
        max_retries=2,
        timeout=10,
    ) as gateway:
        answers = await asyncio.gather(*(gateway.generate_async(f"{number}") for number in range(6)))
        assert idle(gateway)
    assert {answer.text for answer in answers} == {"full"}
    assert full.most == 1


async def test_who_waits_goes_to_a_deployment_whose_pause_has_ended() -> None:
    paused, busy = Deployed("paused", error=RateLimited("slow", retry_after=0.3)), Deployed("busy", seconds=3.0)
    async with over(
        (paused, {"max_parallel_requests": 5}), (busy, {"max_parallel_requests": 1}), max_retries=1
    ) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{number}")) for number in range(5)]
        await asyncio.sleep(0.1)
        assert gateway.queue_status().length == 4
        paused.error = None
        began = asyncio.get_running_loop().time()
        done, _ = await asyncio.wait(calls, timeout=1.0)
        assert asyncio.get_running_loop().time() - began < 1.5
        assert [call.result().text for call in done] == ["paused"] * 4
        await asyncio.gather(*calls)
        assert idle(gateway)


@pytest.mark.parametrize("limits", [{}, {"max_parallel_requests": 10}])
async def test_who_waits_probes_a_deployment_whose_breaker_lets_probes_through(limits: dict[str, Any]) -> None:
    """One after another, until it is closed; then all of them go there."""
    broken, busy = Deployed("broken", seconds=0.02, error=ConnectionFailed("down")), Deployed("busy")
    breaker = CircuitBreakerConfig(failure_threshold=1, success_threshold=3, half_open_probes=1, timeout=0.4, jitter=0)
    async with over(
        (broken, limits), (busy, {"max_parallel_requests": 1}), circuit_breaker=breaker, max_retries=2
    ) as gateway:
        while broken.asked == 0:
            await gateway.generate_async(f"warm {busy.asked}")
        broken.most, broken.error, busy.seconds = 0, None, 3.0
        most_before: list[int] = []

        def note(event: Event) -> None:
            if isinstance(event, BreakerChanged) and event.after == "closed":
                most_before.append(broken.most)

        gateway.subscribe(note)
        calls = [asyncio.create_task(gateway.generate_async(f"{number}")) for number in range(21)]
        await asyncio.sleep(0.1)
        assert gateway.queue_status().length == 20
        done, left = await asyncio.wait(calls, timeout=2.0)
        assert [call.result().text for call in done] == ["broken"] * 20
        assert most_before == [1]
        await asyncio.gather(*left)
        assert idle(gateway)


async def test_who_went_to_a_deployment_without_limits_leaves_nothing_behind() -> None:
    """What is kept for a call on its way is found by its address, which another call may have after it."""
    limited, free = Deployed("limited", seconds=0.1), Deployed("free")
    async with over((limited, {"max_parallel_requests": 1}), (free, {})) as gateway:
        for number in range(10):
            gateway.open_circuit_breaker("m#1")
            first = asyncio.create_task(gateway.generate_async(f"first {number}"))
            await asyncio.sleep(0.01)
            second = asyncio.create_task(gateway.generate_async(f"second {number}"))
            await asyncio.sleep(0.01)
            gateway.reset_circuit_breaker("m#1")
            assert [(await first).text, (await second).text] == ["limited", "free"]
        gateway.open_circuit_breaker("m#1")
        await asyncio.gather(*(gateway.generate_async(f"{number}") for number in range(10)))
        assert idle(gateway)
    assert limited.most == 1
