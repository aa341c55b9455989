"""The breaker against a model that remembers every call."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatewright.errors import (
    AuthenticationFailed,
    BadRequest,
    CallCancelled,
    ConnectionFailed,
    DeadlineExceeded,
    NotFound,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from gatewright.layers.circuit_breaker.breaker import Breaker, Transition
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.window import PARTS, SlidingWindow

FAULTS = [ConnectionFailed, ProviderTimeout, ProviderUnavailable, AuthenticationFailed]
NO_FAULTS = [BadRequest, NotFound, CallCancelled, ValueError]
FRUITLESS = [RateLimited, DeadlineExceeded]

configs = st.builds(
    CircuitBreakerConfig,
    failure_threshold=st.integers(1, 5),
    success_threshold=st.integers(1, 3),
    timeout=st.floats(1, 30),
    failure_rate=st.floats(0.2, 1),
    minimum_calls=st.integers(1, 8),
    window=st.floats(5, 60),
    max_open_time=st.floats(30, 120),
    half_open_probes=st.integers(1, 3),
    probe_timeout=st.floats(5, 60),
    rate_limit_persistence=st.floats(0, 20),
    deadline_persistence=st.floats(0, 20),
)


class BreakerMachine(RuleBasedStateMachine):
    @initialize(config=configs, chance=st.floats(0, 1))
    def start(self, config, chance):
        self.config = config
        self.now = 1000.0
        self.transitions: list[Transition] = []
        self.breaker = Breaker(config, self.transitions.append, lambda: chance)
        self.passes: list[tuple[int, int, float]] = []  # the pass, the epoch it is of, the time
        self.epoch = 0
        self.state = "closed"
        self.in_a_row = 0
        self.calls: list[tuple[float, bool]] = []
        self.fruitless_since = None
        self.probes: list[float] = []
        self.recovered = 0
        self.by_hand = False
        self.open_times: list[float] = []

    # What the model expects.

    def move(self, state):
        self.state = state
        self.epoch += 1
        self.in_a_row = self.recovered = 0
        self.probes = []
        if state == "closed":
            self.calls = []
            self.fruitless_since = None

    def lately(self):
        part = self.config.window / PARTS
        oldest = int(self.now / part) - PARTS + 1
        return [failed for then, failed in self.calls if int(then / part) >= oldest]

    def should_open(self):
        lately = self.lately()
        return self.in_a_row >= self.config.failure_threshold or (
            len(lately) >= self.config.minimum_calls and sum(lately) >= self.config.failure_rate * len(lately)
        )

    def expect_open(self):
        self.move("open")
        change = self.transitions[-1]
        assert change.after == "open"
        longest = self.config.longest_open_time
        assert self.config.timeout - 1e-6 <= change.open_until - self.now <= longest + 1e-6
        self.open_until = change.open_until

    # What happens.

    @rule(seconds=st.one_of(st.floats(0, 2), st.floats(0, 100)))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def ask(self):
        permit = self.breaker.allow(self.now)
        if self.state == "open" and not self.by_hand and self.now >= self.open_until:
            self.move("half_open")
        if self.state == "closed":
            assert permit
        elif self.state == "open":
            assert not permit
        else:
            if len(self.probes) >= self.config.half_open_probes and (
                self.now >= max(self.probes) + self.config.probe_timeout
            ):
                self.probes = []
                self.epoch += 1
            assert bool(permit) is (len(self.probes) < self.config.half_open_probes)
            if permit:
                self.probes.append(self.now)
        if permit:
            self.passes.append((permit, self.epoch, self.now))

    @precondition(lambda self: self.passes)
    @rule(number=st.integers(0, 1000))
    def answered(self, number):
        permit, epoch, began = self.passes.pop(number % len(self.passes))
        self.breaker.record_success(permit, self.now)
        if epoch != self.epoch:
            return
        self.in_a_row = 0
        self.fruitless_since = None
        if self.state == "closed":
            self.calls.append((self.now, False))
        else:
            self.end_probe(began)
            self.recovered += 1
            if self.recovered >= self.config.success_threshold:
                self.move("closed")

    def end_probe(self, began):
        # The breaker remembers when the last probe began; which one ended does not matter to it.
        last = max(self.probes)
        self.probes.remove(began)
        if self.probes:
            self.probes[-1] = last

    @precondition(lambda self: self.passes)
    @rule(number=st.integers(0, 1000), error=st.sampled_from([*FAULTS, *FAULTS, *NO_FAULTS, *FRUITLESS, *FRUITLESS]))
    def failed(self, number, error):
        permit, epoch, _ = self.passes.pop(number % len(self.passes))
        self.breaker.record_failure(permit, error("it failed"), self.now)
        if epoch != self.epoch:
            return
        counts, config = error in FAULTS, self.config
        if counts:
            self.fruitless_since = None
        if error in FRUITLESS:
            persistence = config.rate_limit_persistence if error is RateLimited else config.deadline_persistence
            self.fruitless_since = self.now if self.fruitless_since is None else self.fruitless_since
            counts = self.now - self.fruitless_since >= persistence
        if self.state == "half_open":
            if counts:
                self.expect_open()
            else:
                self.probes.pop(0)
        elif counts:
            self.in_a_row += 1
            self.calls.append((self.now, True))
            if self.should_open():
                self.expect_open()

    @precondition(lambda self: self.passes)
    @rule(number=st.integers(0, 1000))
    def abandoned(self, number):
        permit, epoch, _ = self.passes.pop(number % len(self.passes))
        self.breaker.probe_abandoned(permit)
        if epoch == self.epoch and self.state == "half_open":
            self.probes.pop(0)

    @rule()
    def open_by_hand(self):
        self.breaker.open_by_hand(self.now)
        self.by_hand = True
        self.move("open")

    @precondition(lambda self: self.by_hand)
    @rule()
    def close_by_hand(self):
        self.breaker.close_by_hand(self.now)
        self.by_hand = False
        self.move("closed")

    @rule()
    def reset(self):
        self.breaker.reset(self.now)
        self.by_hand = False
        self.move("closed")
        assert self.breaker.status(self.now).openings == 0

    @invariant()
    def they_agree(self):
        if not hasattr(self, "breaker"):
            return
        status = self.breaker.status(self.now)
        assert status.state == self.state
        if self.state == "closed":
            assert status.failures_in_a_row == self.in_a_row
            assert (status.failed, status.succeeded) == (sum(self.lately()), len(self.lately()) - sum(self.lately()))
            assert status.next_probe_at is None
        if self.state == "open":
            assert status.next_probe_at == (math.inf if self.by_hand else max(self.now, self.open_until))
        states = ["closed", *(change.after for change in self.transitions)]
        assert states[-1] == self.state
        assert [change.before for change in self.transitions] == states[:-1]


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


@given(
    timeout=st.floats(0.1, 100),
    cap=st.floats(1, 1000),
    jitter=st.floats(0, 1),
    chances=st.lists(st.floats(0, 1), min_size=1, max_size=40),
)
def test_the_open_time_doubles_up_to_its_cap_and_never_comes_early(timeout, cap, jitter, chances):
    left = iter(chances)
    config = CircuitBreakerConfig(failure_threshold=1, timeout=timeout, max_open_time=cap, jitter=jitter)
    breaker = Breaker(config, random=lambda: next(left))
    now = 0.0
    breaker.record_failure(breaker.allow(now), ConnectionFailed("down"), now)
    for opening in range(len(chances)):
        until = breaker.next_probe_at(now)
        ideal = min(timeout * 2**opening, config.longest_open_time)
        assert ideal * (1 - 1e-9) <= until - now <= min(ideal * (1 + jitter), config.longest_open_time) * (1 + 1e-9)
        assert not breaker.allow(now + (until - now) * 0.999)
        now = until
        permit = breaker.allow(now)
        assert permit
        if opening + 1 < len(chances):
            breaker.record_failure(permit, ConnectionFailed("down"), now)


@given(seconds=st.floats(1, 600), calls=st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
def test_the_window_counts_what_is_at_most_a_tenth_older_than_it_says(seconds, calls):
    window = SlidingWindow(seconds)
    now = 0.0
    seen = []
    for gap, failed in calls:
        now += gap
        window.add(failed, now)
        seen.append((now, failed))
        surely = sum(bad for then, bad in seen if now - then <= seconds * 0.9 - 1e-6)
        at_most = sum(bad for then, bad in seen if now - then <= seconds + 1e-6)
        assert surely <= window.failed <= at_most
