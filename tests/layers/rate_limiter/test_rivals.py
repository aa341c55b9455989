"""A call that waits at several deployments gets one place, and leaves no trace at the others."""

import asyncio
import random

import pytest

from gatewright.errors import DeadlineExceeded, GatewayClosed, GatewayError, ProviderUnavailable, RateLimited
from gatewright.layers.rate_limiter import RateLimitConfig, RateLimiter
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.testing import FakeClock

NAMES = ("a", "b", "c")


class Scene:
    def __init__(self, **limits):
        self.clock = FakeClock()
        self.limiter = RateLimiter(self.clock)
        for name, config in limits.items():
            self.limiter.configure("deployment", name, RateLimitConfig(**config))

    def ask(self, *names, tenant="t", tokens=1, deadline=None):
        claims = [
            Claim(call_id="c", tokens=tokens, tenant=tenant, model="m", deployment=name, deadline=deadline)
            for name in names
        ]
        return asyncio.create_task(self.limiter.admit_to_any(claims))

    def in_flight(self):
        return {one.scope: one.in_flight for one in self.limiter.levels()}


async def test_it_goes_where_there_is_room_first_and_stands_nowhere_then():
    scene = Scene(a={"max_concurrent": 1}, b={"max_concurrent": 1})
    (_, at_a), (_, at_b) = await scene.ask("a"), await scene.ask("b")
    waiting = scene.ask("a", "b")
    await scene.clock.advance(1)
    assert scene.limiter.waiting == 1
    at_b.settle(1)
    claim, permit = await waiting
    assert claim.deployment == "b"
    at_a.settle(1)
    permit.settle(1)
    assert scene.limiter.is_idle
    assert set(scene.in_flight().values()) <= {0}


async def test_two_that_open_at_once_are_taken_by_two_calls():
    scene = Scene(a={"requests_per_minute": 60, "burst_size": 1}, b={"requests_per_minute": 60, "burst_size": 1})
    await scene.ask("a"), await scene.ask("b")
    waiting = [scene.ask("a", "b") for _ in range(3)]
    await scene.clock.advance(1.01)
    gone = {task.result()[0].deployment for task in waiting if task.done()}
    assert gone == {"a", "b"}
    assert scene.limiter.waiting == 1
    await scene.clock.advance(1.01)
    assert all(task.done() for task in waiting)


async def test_who_was_refused_at_each_is_told_the_soonest():
    queueless = {"requests_per_minute": 60, "burst_size": 1, "enable_queuing": False}
    scene = Scene(a=queueless | {"requests_per_minute": 1}, b=queueless)
    await scene.ask("a"), await scene.ask("b")
    with pytest.raises(RateLimited) as refused:
        await scene.ask("a", "b")
    assert refused.value.retry_after == pytest.approx(1.0, abs=0.1)


async def test_a_full_queue_at_one_leaves_the_other():
    scene = Scene(a={"max_concurrent": 1, "max_queue_size": 0}, b={"max_concurrent": 1})
    _, at_b = (await scene.ask("a"), await scene.ask("b"))
    waiting = scene.ask("a", "b")
    await scene.clock.advance(0.1)
    assert not waiting.done()
    at_b[1].settle(1)
    assert (await waiting)[0].deployment == "b"


async def test_one_that_turns_its_callers_away_leaves_them_the_other():
    scene = Scene(a={"max_concurrent": 1}, b={"max_concurrent": 1})
    (_, at_a), _ = await scene.ask("a"), await scene.ask("b")
    both, only = scene.ask("a", "b"), scene.ask("b")
    await scene.clock.advance(0.1)
    scene.limiter.turn_away("b", lambda: ProviderUnavailable("open"))
    with pytest.raises(ProviderUnavailable):
        await only
    at_a.settle(1)
    assert (await both)[0].deployment == "a"


async def test_a_deadline_and_a_closed_gateway_end_it_once():
    scene = Scene(a={"max_concurrent": 1}, b={"max_concurrent": 1})
    await scene.ask("a"), await scene.ask("b")
    late = scene.ask("a", "b", deadline=scene.clock.now() + 2)
    waiting = scene.ask("a", "b")
    await scene.clock.advance(2.1)
    with pytest.raises(DeadlineExceeded):
        await late
    await scene.limiter.aclose()
    with pytest.raises(GatewayClosed):
        await waiting
    assert scene.limiter.waiting == 0


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_happens_nothing_is_left_and_no_limit_exceeded(seed):
    draw = random.Random(seed)

    def config():
        made = {"queue_timeout": draw.choice([0.5, 5, 60]), "max_queue_size": draw.choice([2, 100])}
        if draw.random() < 0.7:
            made["max_concurrent"] = draw.randint(1, 3)
        if draw.random() < 0.6 or "max_concurrent" not in made:
            made |= {"requests_per_minute": draw.choice([30, 600]), "burst_size": draw.randint(1, 3)}
        if draw.random() < 0.4:
            made |= {"tokens_per_minute": 600, "burst_tokens": 50}
        return made

    scene = Scene(**{name: config() for name in NAMES})
    asked, held = [], []
    for _ in range(120):
        act = draw.random()
        if act < 0.45:
            names = draw.sample(NAMES, draw.randint(1, 3))
            deadline = None if draw.random() < 0.7 else scene.clock.now() + draw.choice([0.2, 3])
            asked.append(scene.ask(*names, tenant=draw.choice("xyz"), tokens=draw.randint(1, 40), deadline=deadline))
        elif act < 0.65 and held:
            held.pop(draw.randrange(len(held))).settle(draw.choice([None, 0, 5, 60]))
        elif act < 0.75 and asked:
            draw.choice(asked).cancel()
        elif act < 0.8:
            scene.limiter.configure("deployment", draw.choice(NAMES), RateLimitConfig(**config()))
        elif act < 0.83:
            scene.limiter.turn_away(draw.choice(NAMES), lambda: ProviderUnavailable("open"))
        await scene.clock.advance(draw.choice([0, 0, 0.1, 1]))
        for task in [one for one in asked if one.done()]:
            asked.remove(task)
            if not task.cancelled():
                error = task.exception()
                assert error is None or isinstance(error, GatewayError)
                if error is None:
                    claim, permit = task.result()
                    assert permit.limits.all[0].scope == f"deployment:{claim.deployment}"
                    held.append(permit)
        assert sum(scene.in_flight().values()) == len(held)
        assert scene.limiter.waiting == len(asked)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    for permit in held:
        permit.settle(1)
    assert scene.limiter.is_idle
    assert all(one.in_flight == 0 for one in scene.limiter.levels())
    assert scene.limiter.queue_status().length == 0


async def test_who_waits_at_several_is_not_refused_for_calls_that_wait_there_too_and_go_at_one():
    names = [f"d{n}" for n in range(5)]
    scene = Scene(**{name: {"requests_per_minute": 60, "burst_size": 1} for name in names})
    for name in names:
        await scene.ask(name)
    before = [scene.ask(*names) for _ in range(40)]
    await scene.clock.advance(0)
    began = scene.clock.now()
    last = scene.ask(*names, deadline=began + 20.0)
    await scene.clock.advance(0)
    (expected,) = [one.expected_wait for one in scene.limiter.queue_status().calls if one.position == 41]
    while not last.done():
        await scene.clock.advance(0.5)
    _, permit = await last
    assert expected == pytest.approx(scene.clock.now() - began, abs=1.01)
    permit.settle(1)
    assert all(task.done() for task in before)


async def test_who_cannot_make_its_deadline_at_any_of_several_is_refused_at_once():
    scene = Scene(a={"requests_per_minute": 60, "burst_size": 1}, b={"requests_per_minute": 60, "burst_size": 1})
    await scene.ask("a"), await scene.ask("b")
    waiting = [scene.ask("a", "b") for _ in range(40)]
    await scene.clock.advance(0)
    with pytest.raises(RateLimited):
        await scene.ask("a", "b", deadline=scene.clock.now() + 15.0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert scene.limiter.is_idle
