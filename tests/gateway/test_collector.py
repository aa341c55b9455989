"""The pace of Python's collector: raised with the calls, put back after."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.gateway.collector import FEW, CollectorPace
from gatewright.testing import ScriptedProvider


@pytest.fixture(autouse=True)
def threshold() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield (700, 10, 10)
    gc.set_threshold(*before)


def test_few_calls_leave_the_hosts_threshold_alone() -> None:
    assert CollectorPace().raise_at == FEW
    assert CollectorPace().lower_at < 0


def test_it_grows_with_the_calls_and_is_put_back_when_they_are_few() -> None:
    pace = CollectorPace()
    pace.raised(FEW)
    first = gc.get_threshold()
    pace.raised(pace.raise_at)
    assert 700 < first[0] < gc.get_threshold()[0]
    assert first[1:] == (10, 10)
    pace.lowered(pace.lower_at)
    assert gc.get_threshold()[0] > 700
    pace.lowered(FEW // 4)
    assert gc.get_threshold() == (700, 10, 10)
    assert (pace.raise_at, pace.lower_at) == (FEW, -1)


def test_what_the_host_set_meanwhile_is_kept() -> None:
    pace = CollectorPace()
    pace.raised(FEW)
    gc.set_threshold(12345, 5, 5)
    pace.lowered(0)
    assert gc.get_threshold() == (12345, 5, 5)


@pytest.mark.parametrize("own", [(0, 10, 10), (10_000_000, 10, 10)])
def test_a_host_that_has_it_off_or_higher_is_left_alone(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    pace = CollectorPace()
    pace.raised(FEW)
    assert gc.get_threshold() == own
    pace.lowered(0)
    assert gc.get_threshold() == own


async def test_a_crowd_of_calls_raises_it_and_its_end_puts_it_back(threshold: tuple[int, int, int]) -> None:
    gate = asyncio.Event()
    provider = ScriptedProvider(["x"] * 2 * FEW, gate=gate)
    config = GatewayConfig(providers=["scripted"], default_model="scripted/any")
    async with LiteLLMGateway(config, providers={"scripted": lambda _: provider}) as gateway:
        calls = [asyncio.ensure_future(gateway.generate_async("x")) for _ in range(2 * FEW)]
        await asyncio.sleep(0.05)
        assert gc.get_threshold()[0] > threshold[0]
        gate.set()
        await asyncio.gather(*calls)
        assert gc.get_threshold() == threshold
