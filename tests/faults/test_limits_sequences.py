"""Over any sequence of calls, endings, cancellations, timeouts and changes: the limit holds and nothing is lost."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewright.errors import DeadlineExceeded, RateLimited
from gatewright.layers.rate_limiter import EVERY, RateLimitConfig, RateLimiter
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.testing import FakeClock

BURST = 3
BURST_TOKENS = 300
configs = st.builds(
    RateLimitConfig,
    requests_per_minute=st.none() | st.sampled_from([30, 60, 240]),
    tokens_per_minute=st.none() | st.sampled_from([600, 6000]),
    burst_size=st.integers(1, BURST),
    burst_tokens=st.integers(100, BURST_TOKENS),
    max_concurrent=st.none() | st.integers(1, 3),
    queue_timeout=st.sampled_from([0.0, 2.0, 20.0]),
    max_queue_size=st.sampled_from([0, 2, 100]),
    enable_queuing=st.sampled_from([True, True, True, False]),
    weight=st.sampled_from([1.0, 3.0]),
    priority=st.integers(0, 1),
)
NAMES = [("global", ""), ("tenant", EVERY), ("tenant", "a"), ("model", "m"), ("tenant_model", (EVERY, "m"))]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["call"] * 6 + ["settle", "settle", "crash", "give back", "cancel", "wait", "wait", "configure"]
        ),
        st.integers(0, 1000),
        st.floats(0.0, 4.0),
        configs,
    ),
    max_size=40,
)


class Run:
    def __init__(self, fixed):
        self.clock = FakeClock()
        self.limiter = RateLimiter(self.clock)
        self.limiter.configure("deployment", "d", fixed)
        self.tasks = []
        self.permits = []
        self.charges = []  # of the deployment's limit, which is never changed: when, requests, tokens, whether admitted
        self.ended = 0

    def call(self, number, patience):
        attempt = number % 2 == 0
        claim = Claim(
            call_id=str(len(self.tasks)),
            tokens=1 + number % 100,
            tenant="abc"[number % 3],
            model="mn"[number % 5 % 2],
            deployment="d" if attempt else None,
            deadline=self.clock.now() + 5 * patience if number % 7 == 0 else None,
        )
        self.tasks.append(asyncio.create_task(self._call(claim)))

    async def _call(self, claim):
        try:
            permit = await self.limiter.admit(claim)
        except (RateLimited, DeadlineExceeded) as error:
            assert not error.asked
            if isinstance(error, RateLimited):
                assert error.retry_after is not None
                assert error.retry_after > 0
            return
        finally:
            self.ended += 1
        self.permits.append((permit, claim))
        self.charge(claim, 1, claim.tokens, admitted=True)

    def charge(self, claim, requests, tokens, *, admitted=False):
        if claim.deployment:
            self.charges.append((self.clock.now(), requests, tokens, admitted))

    def end(self, how, number):
        if not self.permits:
            return
        permit, claim = self.permits.pop(number % len(self.permits))
        used = {"settle": number % 200, "crash": None, "give back": 0}[how]
        if how == "give back":
            assert permit.cancel()
            self.charge(claim, -1, -claim.tokens)
        else:
            assert permit.settle(used)
            self.charge(claim, 0, 0 if used is None else used - claim.tokens)
        assert not permit.settle(0)

    async def step(self, what, number, amount, config):
        if what == "call":
            self.call(number, amount)
            if number % 3:
                await asyncio.sleep(0)
        elif what == "cancel" and self.tasks:
            self.tasks[number % len(self.tasks)].cancel()
        elif what == "wait":
            await self.clock.advance(amount)
        elif what == "configure":
            scope, name = NAMES[number % len(NAMES)]
            self.limiter.configure(scope, name, config if number % 4 else None)
        elif what in ("settle", "crash", "give back"):
            self.end(what, number)

    async def finish(self):
        for _ in range(200):
            await self.clock.advance(1.0)
            while self.permits:
                self.end("settle", 0)
        await self.clock.advance(0)
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def check_the_limit(self, config):
        """Whenever a call was admitted, what was charged over any window that ends there is within the limit."""
        for last, (until, _, _, admitted) in enumerate(self.charges):
            requests = tokens = 0
            for since, of_requests, of_tokens, _ in reversed(self.charges[: last + 1]):
                requests += of_requests
                tokens += of_tokens
                if not admitted:
                    continue
                window = until - since
                if config.requests_per_minute is not None:
                    assert requests <= config.burst_size + config.requests_per_minute / 60 * window + 1e-3
                if config.tokens_per_minute is not None:
                    assert tokens <= config.burst_tokens + config.tokens_per_minute / 60 * window + 1e-3


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fixed=configs, steps=steps)
def test_the_limit_holds_nothing_is_lost_and_every_waiter_ends(fixed, steps):
    async def main():
        run = Run(fixed)
        for step in steps:
            await run.step(*step)
        await run.finish()
        cancelled_before_begun = sum(task.cancelled() for task in run.tasks)
        assert all(task.done() for task in run.tasks)
        assert run.ended >= len(run.tasks) - cancelled_before_begun
        assert [task.exception() for task in run.tasks if not task.cancelled()] == [None] * (
            len(run.tasks) - cancelled_before_begun
        )
        run.check_the_limit(fixed)
        assert run.limiter.is_idle
        assert run.clock.sleepers == 0
        for level in run.limiter.levels():
            assert level.in_flight == 0
            assert level.requests == level.request_burst
            assert level.tokens == level.token_burst
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()


@settings(max_examples=60, deadline=None)
@given(
    before=st.integers(0, 12),
    ended_by=st.sampled_from(["settle", "cancel", "crash"]),
    waiting=st.integers(1, 4),
    timing=st.booleans(),
)
def test_a_call_may_be_cancelled_at_any_point(before, ended_by, waiting, timing):
    """`before` turns of the loop after the room for it came, whatever it is doing then."""

    async def main():
        clock = FakeClock()
        limiter = RateLimiter(clock)
        limiter.configure("global", "", RateLimitConfig(max_concurrent=1, queue_timeout=5.0))
        held = await limiter.admit(Claim(call_id="held", tokens=1))

        async def call(number):
            permit = await limiter.admit(Claim(call_id=str(number), tokens=1))
            try:
                await asyncio.sleep(0)
            finally:
                permit.settle(1)

        tasks = [asyncio.create_task(call(number)) for number in range(waiting)]
        await clock.advance(0)
        if timing:
            later = asyncio.create_task(clock.advance(5.0))
        {"settle": lambda: held.settle(1), "cancel": held.cancel, "crash": lambda: held.settle(None)}[ended_by]()
        for _ in range(before):
            await asyncio.sleep(0)
        tasks[0].cancel()
        if timing:
            await later
        await clock.advance(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        (level,) = limiter.levels()
        assert level.in_flight == 0
        assert limiter.is_idle
        assert all(task.done() for task in tasks)
        assert not any(task.cancelled() for task in tasks[1:])

    asyncio.run(main())
