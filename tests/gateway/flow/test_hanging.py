"""A provider that takes calls and never answers: its callers' deadlines are heard of, and isolate it in the end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import DeadlineExceeded
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.pipeline.events import AttemptEnded


async def cancelled(call: Any) -> None:
    """Make a call, and go away while it is under way."""
    going = asyncio.create_task(call)
    await asyncio.sleep(0.1)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going


SOON = CircuitBreakerConfig(failure_threshold=3, timeout=60, deadline_persistence=0.2)


async def test_a_hanging_deployment_is_isolated_and_another_takes_over(
    remotes: Any, gateway_over: Any, hear: Any
) -> None:
    hanging, spare = remotes(), remotes()
    hanging.holds = True
    late = 0
    async with gateway_over(hanging, spare, circuit_breaker=SOON, max_retries=0) as gateway:
        heard = hear(gateway)
        while [one.state for one in gateway.circuit_breakers() if one.deployment_id == "m#0"] != ["open"]:
            try:
                await gateway.generate_async(f"{heard.of(AttemptEnded)}", timeout=0.1)
            except DeadlineExceeded:
                late += 1
            assert late < 200
        for number in range(20):
            await gateway.generate_async(f"after {number}", timeout=5)
        ill = (await gateway.get_health())["provider_health"]["openai"]["deployments"]["m#0"]
    ended = [one for one in heard.of(AttemptEnded) if one.deployment_id == "m#0"]
    assert late >= 3
    assert [type(one.error) for one in ended] == [DeadlineExceeded] * late
    assert all(0.05 < one.seconds < 5 for one in ended)
    assert (ill["status"], ill["last_error"], ill["errors"]) == ("unhealthy", "Timed out", {"DeadlineExceeded": late})


async def test_short_deadlines_at_a_deployment_that_answers_others_open_nothing(
    remotes: Any, gateway_over: Any
) -> None:
    remote = remotes()
    async with gateway_over(remote, circuit_breaker=SOON, max_retries=0) as gateway:
        for number in range(4):
            remote.holds = True
            for again in range(2):
                with pytest.raises(DeadlineExceeded):
                    await gateway.generate_async(f"short {number} {again}", timeout=0.05)
            remote.holds = False
            remote.release.set()
            await gateway.generate_async(f"long {number}", timeout=5)
            remote.release.clear()
        (breaker,) = gateway.circuit_breakers()
    assert (breaker.state, breaker.failed) == ("closed", 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_record_of_a_call_past_its_deadline_says_who_did_not_answer(
    stream: bool, remotes: Any, gateway_over: Any, hear: Any, tmp_path: Path
) -> None:
    remote = remotes()
    remote.holds = True
    async with gateway_over(remote, max_retries=0, data_dir=tmp_path) as gateway:
        with pytest.raises(DeadlineExceeded):
            if stream:
                async for _ in gateway.generate_stream("hello", timeout=0.1):
                    pass
            else:
                await gateway.generate_async("hello", timeout=0.1)
        heard = hear(gateway)
        await cancelled(gateway.generate_async("going"))
        metrics = await gateway.get_llmops_metrics_async()
    assert [type(one.error).__name__ for one in heard.of(AttemptEnded)] == ["CallCancelled"]
    assert set(metrics["by_provider"]) == {"openai"}
    assert metrics["by_provider"]["openai"]["operations"] == 2


async def test_a_call_that_only_waited_for_room_holds_nothing_against_the_deployment(
    remotes: Any, gateway_over: Any, hear: Any
) -> None:
    remote = remotes()
    async with gateway_over(remote, circuit_breaker=SOON, each={"rpm": 1}, max_retries=0) as gateway:
        heard = hear(gateway)
        await gateway.generate_async("the one of this minute")
        await cancelled(gateway.generate_async("waits"))
        health = await gateway.get_health()
    assert len(heard.of(AttemptEnded)) == 1
    assert health["provider_health"]["openai"]["errors"] == {}
