import asyncio
import gc

import pytest

from gatewright.errors import CallCancelled, DeadlineExceeded, GatewayClosed, RateLimited
from gatewright.layers.rate_limiter import EVERY, RateLimitConfig, RateLimiter
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.pipeline.events import CallAdmitted, CallQueued, Events
from gatewright.testing import FakeClock
from gatewright.types.limits import ProviderLimits

ONE_A_SECOND = RateLimitConfig(requests_per_minute=60, burst_size=1)


class Scene:
    """A limiter on a clock that stands still, and the calls that were made."""

    def __init__(self, **limits):
        self.clock = FakeClock()
        self.events = []
        bus = Events()
        bus.subscribe(self.events.append)
        self.limiter = RateLimiter(self.clock, bus)
        self.admitted = []
        self.count = 0
        for scope, config in limits.items():
            name = {"global_": ("global", ""), "tenant": ("tenant", EVERY), "model": ("model", "m")}[scope]
            self.limiter.configure(*name, config)

    def start(self, tenant="a", tokens=10, deadline=None, model="m", deployment=None):
        self.count += 1
        claim = Claim(
            call_id=f"{tenant}{self.count}",
            tokens=tokens,
            tenant=tenant,
            model=model,
            deployment=deployment,
            deadline=None if deadline is None else self.clock.now() + deadline,
        )
        return asyncio.create_task(self._admit(claim))

    async def _admit(self, claim):
        permit = await self.limiter.admit(claim)
        self.admitted.append(claim.call_id)
        return permit

    async def run(self, seconds=0.0):
        await self.clock.advance(seconds)

    def level(self, scope):
        return next(one for one in self.limiter.levels() if one.scope == scope)

    def assert_idle(self):
        assert self.limiter.is_idle
        assert self.limiter.waiting == 0
        assert self.clock.sleepers == 0


async def refusal(task):
    with pytest.raises(RateLimited) as caught:
        await task
    assert not caught.value.asked
    return caught.value


async def test_what_finds_room_does_not_wait_and_makes_no_task():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=60))
    before = asyncio.all_tasks()
    limits = scene.limiter.limits_of("a", "m", None)
    permit = scene.limiter.try_admit(limits, 10, scene.limiter.now())
    assert permit is not None
    assert asyncio.all_tasks() == before
    assert permit.settle(10)
    scene.assert_idle()


async def test_where_nothing_is_configured_everything_goes():
    scene = Scene()
    assert (await scene.start()).settle(5)


async def test_calls_wait_and_go_in_their_order_when_there_is_room():
    scene = Scene(global_=ONE_A_SECOND)
    for _ in range(4):
        scene.start()
    await scene.run()
    assert scene.admitted == ["a1"]
    await scene.run(1.0)
    assert scene.admitted == ["a1", "a2"]
    await scene.run(2.0)
    assert scene.admitted == ["a1", "a2", "a3", "a4"]
    scene.assert_idle()


async def test_a_call_is_charged_to_all_limits_or_to_none():
    scene = Scene(
        global_=RateLimitConfig(requests_per_minute=60, tokens_per_minute=6000),
        tenant=RateLimitConfig(requests_per_minute=60, burst_size=1),
    )
    await scene.start(tokens=100)
    waits = scene.start(tokens=100)
    await scene.run()
    assert scene.level("global:").requests == 59
    assert scene.level("global:").tokens == 5900
    assert scene.level("tenant:a").waiting == 1
    await scene.run(1.0)
    assert scene.level("tenant:a").requests == 0
    assert scene.level("global:").tokens == 5900  # a second later: 5900 + 100 - 100
    assert (await waits).cancel()


async def test_a_permit_ends_once():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=60, tokens_per_minute=6000))
    for first in ("settle", "cancel"):
        permit = await scene.start(tokens=100)
        assert permit.cancel() if first == "cancel" else permit.settle(40)
        assert not permit.settle(0)
        assert not permit.settle(None)
        assert not permit.cancel()
    assert scene.level("global:").tokens == 6000 - 40
    assert scene.level("global:").requests == 59


async def test_what_is_given_back_lets_the_next_go_at_once():
    scene = Scene(global_=RateLimitConfig(tokens_per_minute=600))
    permit = await scene.start(tokens=600)
    waits = scene.start(tokens=300)
    await scene.run()
    assert scene.admitted == ["a1"]
    permit.settle(100)
    await scene.run()
    assert (await waits).settle(300)
    assert scene.level("global:").tokens == 200
    scene.assert_idle()


async def test_what_was_used_too_much_is_owed():
    scene = Scene(global_=RateLimitConfig(tokens_per_minute=600, queue_timeout=100.0))
    (await scene.start(tokens=100)).settle(1200)
    scene.start(tokens=100)
    await scene.run(69.0)
    assert scene.admitted == ["a1"]
    await scene.run(1.0)
    assert scene.admitted == ["a1", "a2"]


async def test_calls_at_once_are_bounded_and_wait_in_the_same_queue():
    scene = Scene(tenant=RateLimitConfig(max_concurrent=2))
    first, second = await scene.start(), await scene.start()
    scene.start()
    scene.start("b")
    await scene.run(5.0)
    assert scene.admitted == ["a1", "a2", "b4"]
    second.settle(1)
    first.cancel()
    await scene.run()
    assert scene.admitted[-1] == "a3"
    scene.assert_idle()


async def test_who_waits_too_long_is_refused_with_an_honest_retry_after_and_leaves_no_trace():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=6, burst_size=1, queue_timeout=5.0))
    await scene.start()
    waits = scene.start()
    await scene.run(4.9)
    assert not waits.done()
    await scene.run(0.2)
    error = await refusal(waits)
    assert error.retry_after == pytest.approx(5.0, abs=0.2)
    assert error.request_id == "a2"
    scene.assert_idle()
    await scene.run(error.retry_after)
    assert (await scene.start()).settle(1)


async def test_nobody_overtakes_and_who_is_behind_one_that_gives_up_goes_at_once():
    scene = Scene(global_=RateLimitConfig(tokens_per_minute=600, queue_timeout=5.0))
    await scene.start(tokens=600)
    large = scene.start(tokens=500)
    await scene.run(4.0)
    scene.start(tokens=20)
    await scene.run(0.9)
    assert scene.admitted == ["a1"]
    await scene.run(0.1)
    await refusal(large)
    assert scene.admitted == ["a1", "a3"]
    scene.assert_idle()


async def test_a_full_queue_refuses_at_once():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=60, burst_size=1, max_queue_size=2))
    await scene.start()
    waiting = [scene.start() for _ in range(2)]
    error = await refusal(scene.start())
    assert error.retry_after == pytest.approx(3.0)
    assert error.model == "m"
    assert not any(task.done() for task in waiting)
    await scene.run(2.0)
    scene.assert_idle()


async def test_a_flood_that_fills_the_queue_makes_room_for_the_others():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=60, burst_size=1, max_queue_size=4))
    await scene.start()
    flood = [scene.start("a") for _ in range(4)]
    await refusal(scene.start("a"))
    others = [scene.start("b"), scene.start("b")]
    await scene.run()
    assert [task.done() for task in flood] == [False, False, True, True]
    assert (await refusal(flood[3])).retry_after == pytest.approx(4.0)
    await refusal(flood[2])
    await refusal(scene.start("b"))
    third = scene.start("c")
    await scene.run()
    assert scene.limiter.queue_status().by_tenant in ({"a": 1, "b": 2, "c": 1}, {"a": 2, "b": 1, "c": 1})
    await scene.run(4.0)
    assert third.done()
    await asyncio.gather(*flood, *others, return_exceptions=True)
    scene.assert_idle()


@pytest.mark.parametrize("without", [{"enable_queuing": False}, {"queue_timeout": 0.0}])
async def test_without_queuing_a_call_is_refused_at_once(without):
    scene = Scene(global_=RateLimitConfig(requests_per_minute=6, burst_size=1, **without))
    await scene.start()
    error = await refusal(scene.start())
    assert error.retry_after == pytest.approx(10.0)
    scene.assert_idle()


async def test_a_limit_without_queuing_that_has_room_does_not_keep_a_call_from_waiting_for_another():
    scene = Scene(global_=ONE_A_SECOND, tenant=RateLimitConfig(requests_per_minute=60, enable_queuing=False))
    await scene.start()
    waits = scene.start()
    await scene.run(1.0)
    assert (await waits).settle(1)


async def test_a_call_that_cannot_make_its_deadline_is_refused_at_once():
    scene = Scene(global_=ONE_A_SECOND)
    await scene.start()
    for _ in range(5):
        scene.start()
    error = await refusal(scene.start(deadline=4.0))
    assert error.retry_after == pytest.approx(6.0)
    makes_it = scene.start(deadline=6.5)
    await scene.run(6.0)
    assert makes_it.done()
    assert len(scene.admitted) == 7
    scene.assert_idle()


async def test_a_call_above_the_burst_waits_only_until_the_bucket_is_full():
    scene = Scene(global_=RateLimitConfig(tokens_per_minute=600))
    await scene.start(tokens=100)
    large = scene.start(tokens=50_000, deadline=20.0)
    await scene.run(10.0)
    assert (await large).settle(600)


async def test_a_deadline_that_passes_while_waiting_says_so():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    await scene.start()
    waits = scene.start(deadline=3.0)
    await scene.run(3.0)
    with pytest.raises(DeadlineExceeded, match="global") as caught:
        await waits
    assert not caught.value.asked
    scene.assert_idle()


async def test_a_cancelled_call_leaves_no_trace():
    scene = Scene(global_=ONE_A_SECOND)
    await scene.start()
    waiting = [scene.start(tokens=n) for n in (10, 20, 30)]
    await scene.run()
    waiting[0].cancel()
    waiting[1].cancel()
    await scene.run(1.0)
    assert scene.admitted == ["a1", "a4"]
    assert (await waiting[2]).cancel()
    scene.assert_idle()
    assert scene.level("global:").requests == 1
    assert scene.level("global:").in_flight == 1


@pytest.mark.parametrize("order", ["cancel first", "admit first"])
async def test_a_call_cancelled_in_the_moment_of_its_admission_gives_its_permit_to_the_next(order):
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    permit = await scene.start()
    cancelled, after = scene.start(), scene.start()
    await scene.run()
    steps = [cancelled.cancel, lambda: permit.settle(1)]
    for step in steps if order == "cancel first" else reversed(steps):
        step()
    await scene.run()
    assert cancelled.cancelled()
    assert scene.admitted == ["a1", "a3"]
    (await after).settle(1)
    assert scene.level("global:").in_flight == 0
    scene.assert_idle()


async def test_a_call_refused_and_cancelled_in_the_same_moment_is_cancelled():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    await scene.start()
    waits = scene.start()
    await scene.run()
    await scene.limiter.aclose()
    waits.cancel()
    await scene.run()
    assert waits.cancelled()
    del waits
    gc.collect()  # an exception that nobody looked at would be logged
    scene.assert_idle()


async def test_a_closed_coroutine_leaves_the_queue():
    scene = Scene(global_=ONE_A_SECOND)
    await scene.start()
    coroutine = scene.limiter.admit(Claim(call_id="x", tokens=1))
    coroutine.send(None)
    assert scene.limiter.waiting == 1
    coroutine.close()
    assert scene.limiter.waiting == 0
    await scene.run()
    scene.assert_idle()


async def test_a_raised_limit_lets_those_who_wait_go():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=1))
    await scene.start()
    for _ in range(3):
        scene.start()
    await scene.run()
    scene.limiter.configure("global", "", RateLimitConfig(requests_per_minute=60, burst_size=10))
    await scene.run(1.0)
    assert scene.admitted == ["a1", "a2"]
    await scene.run(2.0)
    assert len(scene.admitted) == 4


async def test_more_calls_at_once_take_effect_at_once():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    for _ in range(3):
        scene.start()
    await scene.run()
    scene.limiter.configure("global", "", RateLimitConfig(max_concurrent=2))
    await scene.run()
    assert len(scene.admitted) == 2


async def test_a_lowered_limit_holds_for_those_who_wait():
    scene = Scene(global_=ONE_A_SECOND)
    await scene.start()
    scene.start()
    await scene.run(0.5)
    scene.limiter.configure("global", "", RateLimitConfig(requests_per_minute=6, burst_size=1))
    await scene.run(4.9)
    assert scene.admitted == ["a1"]
    await scene.run(0.2)
    assert scene.admitted == ["a1", "a2"]


async def test_a_removed_limit_holds_nobody():
    scene = Scene(global_=ONE_A_SECOND, model=RateLimitConfig(requests_per_minute=1))
    await scene.start()
    scene.start()
    scene.start()
    await scene.run()
    scene.limiter.configure("model", "m", None)
    await scene.run(1.0)
    assert scene.admitted == ["a1", "a2"]
    scene.limiter.configure("global", "", None)
    await scene.run()
    assert len(scene.admitted) == 3
    scene.assert_idle()


async def test_a_new_limit_holds_for_those_who_wait_too():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    permit = await scene.start()
    scene.start()
    scene.start()
    scene.start("b")
    await scene.run()
    scene.limiter.configure("tenant", "a", ONE_A_SECOND)
    scene.limiter.configure("global", "", RateLimitConfig(max_concurrent=10))
    await scene.run()
    assert sorted(scene.admitted) == ["a1", "a2", "b4"]
    await scene.run(1.0)
    assert scene.admitted[-1] == "a3"
    permit.settle(1)
    scene.assert_idle()


async def test_queuing_switched_off_refuses_those_who_wait():
    scene = Scene(global_=ONE_A_SECOND)
    await scene.start()
    waits = scene.start()
    await scene.run()
    scene.limiter.configure("global", "", RateLimitConfig(requests_per_minute=60, burst_size=1, enable_queuing=False))
    assert (await refusal(waits)).retry_after == pytest.approx(1.0)
    scene.assert_idle()


async def test_a_shorter_patience_holds_for_those_who_wait():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    await scene.start()
    waits = scene.start()
    await scene.run(3.0)
    scene.limiter.configure("global", "", RateLimitConfig(max_concurrent=1, queue_timeout=4.0))
    await scene.run(0.9)
    assert not waits.done()
    await scene.run(0.1)
    await refusal(waits)


async def test_a_full_new_limit_refuses_those_it_cannot_take():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    await scene.start()
    stays, goes = scene.start(), scene.start()
    await scene.run()
    scene.limiter.configure("tenant", "a", RateLimitConfig(requests_per_minute=60, max_queue_size=1))
    await refusal(goes)
    assert not stays.done()


async def test_weights_and_priorities_are_those_of_the_tenants_configuration_also_when_it_changes():
    scene = Scene(global_=ONE_A_SECOND)
    scene.limiter.configure("tenant", "b", RateLimitConfig(weight=3.0))
    await scene.start()
    for _ in range(8):
        scene.start("a")
        scene.start("b")
        scene.start("c")
    await scene.run(5.0)
    assert [name[0] for name in scene.admitted[1:]].count("b") == 3
    scene.limiter.configure("tenant", "c", RateLimitConfig(priority=1))
    await scene.run(7.0)
    assert {name[0] for name in scene.admitted[-7:]} == {"c"}


async def test_one_tenants_own_limit_holds_up_nobody_else():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=600), tenant=RateLimitConfig(max_concurrent=1))
    await scene.start("a")
    scene.start("a")
    await scene.run()
    assert (await scene.start("b")).settle(1)


async def test_who_waits_can_be_seen():
    scene = Scene(global_=ONE_A_SECOND)
    await scene.start("a")
    for tenant in "aab":
        scene.start(tenant)
    await scene.run()
    status = scene.limiter.queue_status()
    assert status.length == 3
    assert status.by_limit == {"global:": 3}
    assert status.by_tenant == {"a": 2, "b": 1}
    shown = {call.call_id: call for call in status.calls}
    assert [shown[call].position for call in ("a2", "a3", "b4")] == [1, 2, 1]
    assert shown["a3"].expected_wait == pytest.approx(3.0)
    await scene.run(0.5)
    assert scene.limiter.queue_status().calls[0].waited == 0.5


async def test_waiting_is_told():
    scene = Scene(global_=ONE_A_SECOND)
    await scene.start()
    scene.start()
    await scene.run(1.0)
    queued, admitted = scene.events
    assert isinstance(queued, CallQueued)
    assert (queued.call_id, queued.limit, queued.position) == ("a2", "global:", 1)
    assert queued.expected_wait == pytest.approx(1.0)
    assert isinstance(admitted, CallAdmitted)
    assert (admitted.call_id, admitted.limit, admitted.waited) == ("a2", "global:", 1.0)


async def test_a_paused_deployment_takes_nothing_and_refuses_those_who_cannot_wait_so_long():
    scene = Scene()
    scene.limiter.configure("deployment", "d", RateLimitConfig(max_concurrent=1, queue_timeout=30.0))
    permit = await scene.start(deployment="d")
    patient, hasty = scene.start(deployment="d"), scene.start(deployment="d", deadline=5.0)
    await scene.run()
    assert not scene.limiter.has_room("d", scene.clock.now())
    scene.limiter.pause("d", scene.clock.now() + 10.0)
    assert (await refusal(hasty)).retry_after == pytest.approx(10.0)
    permit.settle(1)
    await scene.run(9.0)
    assert not patient.done()
    await scene.run(1.1)
    assert (await patient).settle(1)
    assert scene.limiter.has_room("d", scene.clock.now())
    scene.limiter.pause("d", scene.clock.now() + 100.0)
    await refusal(scene.start(deployment="d"))
    scene.assert_idle()


async def test_a_providers_word_for_what_is_left_is_taken():
    scene = Scene()
    scene.limiter.configure("deployment", "d", RateLimitConfig(requests_per_minute=60, tokens_per_minute=6000))
    scene.limiter.correct("d", ProviderLimits(remaining_requests=1, remaining_tokens=500))
    assert scene.level("deployment:d").requests == 1
    assert scene.level("deployment:d").tokens == 500
    scene.limiter.correct("d", ProviderLimits(remaining_requests=50))
    assert scene.level("deployment:d").requests == 1


async def test_nothing_runs_in_an_idle_limiter():
    scene = Scene(global_=ONE_A_SECOND)
    for _ in range(3):
        scene.start()
    await scene.run()
    assert not scene.limiter.is_idle
    await scene.run(2.0)
    assert len(scene.admitted) == 3
    scene.assert_idle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_idle_tenants_are_forgotten_without_a_task():
    scene = Scene(tenant=RateLimitConfig(requests_per_minute=60))
    for number in range(100):
        (await scene.start(f"t{number}")).settle(1)
    assert len(scene.limiter.levels()) == 100
    await scene.run(10.0)
    (await scene.start("last")).settle(1)
    assert [one.scope for one in scene.limiter.levels()] == ["tenant:last"]


async def test_closing_ends_all_waiting():
    scene = Scene(global_=ONE_A_SECOND)
    await scene.start()
    waits = scene.start()
    await scene.run()
    await scene.limiter.aclose()
    with pytest.raises(GatewayClosed):
        await waits
    await scene.run()
    scene.assert_idle()


async def test_whose_loop_is_left_is_cut_off_and_its_permits_are_void():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    old = await scene.start()
    waits = scene.start()
    await scene.run()
    scene.limiter.abandon()
    with pytest.raises(CallCancelled):
        await waits
    new = await scene.start()
    assert not old.settle(1)
    assert scene.level("global:").in_flight == 1
    assert new.settle(1)


def test_waiters_of_a_closed_loop_are_in_nobodys_way():
    scene = Scene(global_=ONE_A_SECOND)

    async def leave_one_waiting():
        await scene.start()
        task = scene.start()
        await scene.run()
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(leave_one_waiting())
    timers = asyncio.all_tasks(loop)
    loop.close()
    assert scene.limiter.waiting == 1
    scene.clock._sleepers.clear()

    async def go_on():
        second = scene.start()
        await scene.run(1.0)
        assert second.done()
        scene.assert_idle()

    asyncio.run(go_on())
    for one in (task, *timers):
        one._log_destroy_pending = False
        one.get_coro().close()


def test_a_limit_can_be_changed_while_no_loop_runs():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=1))
    loop = asyncio.new_event_loop()

    async def begin():
        await scene.start()
        waits = scene.start()
        await scene.run()
        return waits

    waits = loop.run_until_complete(begin())
    scene.limiter.configure("global", "", RateLimitConfig(requests_per_minute=60))
    loop.run_until_complete(scene.run(1.0))
    assert waits.done()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_forked_child_forgets_without_touching_the_parents_loop():
    scene = Scene(global_=ONE_A_SECOND)

    async def main():
        await scene.start()
        waits = scene.start()
        await scene.run()
        scene.limiter.abandon(forked=True)
        await scene.run()
        assert not waits.done()
        waits.cancel()
        await scene.run()

    asyncio.run(main())
    assert scene.limiter.waiting == 0
