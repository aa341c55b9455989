"""A configuration that changes while calls wait: their order stays, and nobody waits, or is refused, without need."""

import pytest
from tests.layers.rate_limiter.test_limiter import ONE_A_SECOND, Scene, refusal

from gatewright.layers.rate_limiter import RateLimitConfig

PATIENT = {"queue_timeout": 600.0}


async def test_who_finds_room_by_the_new_limit_goes_though_no_calls_wait_for_it():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    await scene.start()
    for _ in range(3):
        scene.start()
    over = scene.start()
    await scene.run()
    scene.limiter.configure("global", "", RateLimitConfig(max_concurrent=4, enable_queuing=False))
    await scene.run()
    assert scene.admitted == ["a1", "a2", "a3", "a4"]
    assert "calls do not wait for it" in (await refusal(over)).message
    scene.assert_idle()


async def test_the_order_of_arrival_stays_where_another_limit_comes_to_apply_to_some():
    scene = Scene(tenant=RateLimitConfig(requests_per_minute=60, burst_size=1))
    await scene.start()
    for place in range(6):
        scene.start(model=f"m{place % 2}")
    await scene.run()
    scene.limiter.configure("tenant_model", ("a", "m0"), RateLimitConfig(requests_per_minute=6000))
    await scene.run(6.0)
    assert scene.admitted == [f"a{number}" for number in range(1, 8)]


@pytest.mark.parametrize("more", [{}, {"weight": 2.0}, {"priority": 1}])
async def test_a_shorter_queue_refuses_nobody_who_waits(more):
    scene = Scene(tenant=ONE_A_SECOND)
    await scene.start()
    for _ in range(6):
        scene.start()
    await scene.run()
    shorter = RateLimitConfig(requests_per_minute=60, burst_size=1, max_queue_size=3, **more)
    scene.limiter.configure("tenant", "a", shorter)
    await scene.run(6.0)
    assert scene.admitted == [f"a{number}" for number in range(1, 8)]


@pytest.mark.parametrize(("before", "after"), [(0.01, 10.0), (1e-6, 1.0)])
async def test_a_larger_weight_holds_at_once_for_who_had_little_before(before, after):
    scene = Scene(global_=RateLimitConfig(requests_per_minute=60, burst_size=1, **PATIENT))
    scene.limiter.configure("tenant", "light", RateLimitConfig(weight=before, **PATIENT))
    await scene.start("first")
    for _ in range(60):
        scene.start("heavy")
        scene.start("light")
    await scene.run(20.0)
    assert sum(one.startswith("light") for one in scene.admitted) <= 2
    scene.limiter.configure("tenant", "light", RateLimitConfig(weight=after, **PATIENT))
    await scene.run(20.0)
    went = [one for one in scene.admitted[-20:] if one.startswith("light")]
    assert len(went) >= 20 * after / (1 + after) - 2
    for _ in range(100):
        await scene.run(1.0)
    scene.assert_idle()


async def test_a_tenant_that_may_not_wait_takes_no_place_of_others_in_a_full_queue():
    scene = Scene(global_=RateLimitConfig(requests_per_minute=60, burst_size=1, max_queue_size=2))
    scene.limiter.configure("tenant", "b", RateLimitConfig(requests_per_minute=60, max_queue_size=0))
    await scene.start("c")
    waiting = [scene.start("a"), scene.start("a")]
    await scene.run()
    await refusal(scene.start("b"))
    assert not any(task.done() for task in waiting)
    await scene.run(2.0)
    assert all(task.done() for task in waiting)
    scene.assert_idle()


async def test_whoever_is_the_next_since_a_larger_call_left_goes():
    scene = Scene(global_=RateLimitConfig(max_concurrent=1))
    scene.limiter.configure("tenant", "h", RateLimitConfig(weight=10.0))
    first = await scene.start("x")
    heavy, large = scene.start("h"), scene.start("a", tokens=1000)
    small, other = scene.start("a", tokens=1), scene.start("e", tokens=700)
    await scene.run()
    large.cancel()
    await scene.run()
    first.settle(1)
    for task in (heavy, small, other):
        await scene.run()
        task.result().settle(1)
    scene.assert_idle()


async def test_the_order_of_arrival_stays_where_such_a_limit_goes_again():
    scene = Scene(tenant=RateLimitConfig(requests_per_minute=60, burst_size=1))
    scene.limiter.configure("tenant_model", ("a", "m0"), RateLimitConfig(requests_per_minute=6000))
    await scene.start()
    for place in range(6):
        scene.start(model=f"m{place % 2}")
    await scene.run()
    scene.limiter.configure("tenant_model", ("a", "m0"), None)
    await scene.run(6.0)
    assert scene.admitted == [f"a{number}" for number in range(1, 8)]
