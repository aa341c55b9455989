import asyncio
import random

import pytest

from gatewright.errors import ConnectionFailed, DeadlineExceeded, ProviderTimeout, ProviderUnavailable
from gatewright.health.checks import ActiveChecks
from gatewright.health.config import ActiveCheckConfig
from gatewright.health.probes import probe_of, within
from gatewright.testing import FakeClock
from gatewright.types.deployment import Deployment

A = Deployment(id="a", group="model", provider="acme", model="m")
B = Deployment(id="b", group="model", provider="acme", model="m")


class Checking:
    def __init__(self, *deployments, error=None, gate=None, idle=True, **config):
        self.clock = FakeClock()
        self.asked, self.told, self.first_told = [], [], asyncio.Event()
        self.error, self.gate, self.idle = error, gate, idle
        self.checks = ActiveChecks(
            ActiveCheckConfig(**{"enabled": True, "interval": 100, "jitter": 0.2} | config),
            self.probe,
            deployments=lambda: deployments,
            needs_check=lambda one, idle_for: self.idle,
            told=self.hear,
            clock=self.clock,
            rng=random.Random(1),
        )

    def hear(self, deployment, seconds, error):
        self.told.append((deployment.id, error))
        self.first_told.set()

    async def probe(self, deployment, seconds):
        assert seconds == 10
        self.asked.append((deployment.id, self.clock.now()))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error


async def test_each_is_asked_once_a_round_at_times_of_its_own():
    checking = Checking(A, B)
    checking.checks.start()
    checking.checks.start()
    await checking.clock.advance(320)
    await checking.checks.aclose()
    times = {id_: [at - 1000 for who, at in checking.asked if who == id_] for id_ in "ab"}
    for asked in times.values():
        assert [int(at // 100) for at in asked] == [0, 1, 2, 3]
        assert all(at % 100 <= 20 for at in asked)
    assert len({at for asked in times.values() for at in asked}) == 8
    assert checking.told.count(("a", None)) == 4


async def test_one_that_is_in_use_is_left_alone():
    checking = Checking(A, idle=False)
    checking.checks.start()
    await checking.clock.advance(250)
    await checking.checks.aclose()
    assert checking.asked == []


async def test_never_two_at_once_and_nothing_is_left_after_the_end():
    before = asyncio.all_tasks()
    checking = Checking(A, gate=asyncio.Event())
    checking.checks.start()
    await checking.clock.advance(950)
    assert len(checking.asked) == 1
    await checking.checks.aclose()
    assert asyncio.all_tasks() == before
    assert checking.told == []


async def test_one_that_hangs_is_a_timeout_of_the_provider():
    async def hangs(_call):
        await asyncio.Event().wait()

    with pytest.raises(ProviderTimeout, match=r"within 0\.01 s"):
        await within(0.01, hangs)(probe_of(A, 0.0))


async def test_a_timeout_of_the_providers_own_is_told_as_it_is():
    async def fails(_call):
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await within(10, fails)(probe_of(A, 0.0))


@pytest.mark.parametrize("error", [ConnectionFailed("down"), DeadlineExceeded("late"), ValueError("odd")])
async def test_failures_are_told_as_they_are(error):
    checking = Checking(A, error=error)
    checking.checks.start()
    await checking.clock.advance(20)
    await checking.checks.aclose()
    assert checking.told == [("a", error)]


async def test_what_a_breaker_refused_was_no_check():
    refused = ProviderUnavailable("open")
    refused.asked = False
    checking = Checking(A, error=refused)
    checking.checks.start()
    await checking.clock.advance(20)
    await checking.checks.aclose()
    assert (len(checking.asked), checking.told) == (1, [])


async def test_switched_off_nothing_runs():
    before = asyncio.all_tasks()
    checking = Checking(A, enabled=False)
    checking.checks.start()
    assert asyncio.all_tasks() == before
    await checking.checks.aclose()
