"""Nothing is lost or charged twice, over any sequence of reserve, settle, cancel and crash."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.ledger import blocked_by, try_reserve
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.permit import Permit

configs = st.builds(
    RateLimitConfig,
    requests_per_minute=st.none() | st.integers(1, 600),
    tokens_per_minute=st.none() | st.integers(1, 60_000),
    burst_size=st.none() | st.integers(1, 20),
    burst_tokens=st.none() | st.integers(1, 5000),
    max_concurrent=st.none() | st.integers(1, 5),
)
steps = st.lists(
    st.tuples(
        st.floats(0, 3),
        st.sampled_from(["reserve", "reserve", "reserve", "settle", "cancel", "crash", "settle again"]),
        st.integers(1, 15),
        st.integers(0, 2000),
        st.integers(0, 4000),
    ),
    max_size=50,
)


class Account:
    """The same limit kept by hand: one level each for requests and tokens, refilled by the same rule."""

    def __init__(self, config: RateLimitConfig) -> None:
        self.config = config
        self.requests = config.request_burst
        self.tokens = config.token_burst
        self.in_flight = 0

    def pass_time(self, seconds: float) -> None:
        config = self.config
        self.requests = min(config.request_burst, self.requests + seconds * (config.requests_per_minute or 0) / 60)
        self.tokens = min(config.token_burst, self.tokens + seconds * (config.tokens_per_minute or 0) / 60)

    def has_room(self, tokens: float) -> bool:
        config = self.config
        return (
            (config.requests_per_minute is None or self.requests >= 1 - 1e-6)
            and (config.tokens_per_minute is None or self.tokens >= min(tokens, config.token_burst) - 1e-6)
            and (config.max_concurrent is None or self.in_flight < config.max_concurrent)
        )

    def charge(self, requests: float, tokens: float) -> None:
        self.requests = min(self.config.request_burst, self.requests - requests)
        self.tokens = min(self.config.token_burst, self.tokens - tokens)

    def agrees_with(self, limit: Limit, now: float) -> bool:
        return (
            limit.in_flight == self.in_flight
            and (limit.requests is None or math.isclose(limit.requests.level(now), self.requests, abs_tol=1e-4))
            and (limit.tokens is None or math.isclose(limit.tokens.level(now), self.tokens, abs_tol=1e-4))
        )


@settings(max_examples=200)
@given(configs=st.lists(configs, min_size=1, max_size=4), steps=steps)
def test_the_ledger_agrees_with_accounts_kept_by_hand(configs, steps):
    now = 100.0
    limits = [Limit(f"tenant:{number}", config, now) for number, config in enumerate(configs)]
    accounts = [Account(config) for config in configs]
    under_way: list[tuple[Permit, list[int], float]] = []
    ended: list[Permit] = []
    for seconds, what, chosen, tokens, used in steps:
        now += seconds
        for account in accounts:
            account.pass_time(seconds)
        if what == "reserve":
            members = [number for number in range(len(limits)) if chosen >> number & 1]
            got = try_reserve([limits[number] for number in members], tokens, now)
            room = all(accounts[number].has_room(tokens) for number in members)
            assert isinstance(got, Permit) is room
            if isinstance(got, Permit):
                under_way.append((got, members, tokens))
                for number in members:
                    accounts[number].charge(1, tokens)
                    accounts[number].in_flight += 1
        elif what == "settle again":
            for reservation in ended:
                assert not reservation.settle(used, now)
                assert not reservation.cancel(now)
        elif under_way:
            reservation, members, reserved = under_way.pop(chosen % len(under_way))
            assert (
                reservation.cancel(now)
                if what == "cancel"
                else reservation.settle(used if what == "settle" else None, now)
            )
            ended.append(reservation)
            given_back = {"settle": (0, reserved - used), "cancel": (1, reserved), "crash": (0, 0)}[what]
            for number in members:
                accounts[number].charge(-given_back[0], -given_back[1])
                accounts[number].in_flight -= 1
        assert all(account.agrees_with(limit, now) for account, limit in zip(accounts, limits, strict=True))
    for reservation, _, _ in under_way:
        reservation.settle(None, now)
    assert [limit.in_flight for limit in limits] == [0] * len(limits)
    assert all(limit.is_idle(now + 1e7) for limit in limits)


@given(configs=st.lists(configs, min_size=1, max_size=4), tokens=st.lists(st.integers(0, 6000), max_size=30))
def test_the_wait_that_is_named_is_the_longest_and_is_enough(configs, tokens):
    now = 0.0
    limits = [Limit(f"tenant:{number}", config, now) for number, config in enumerate(configs)]
    for amount in tokens:
        wait = try_reserve(limits, amount, now)
        blocked = blocked_by(limits, amount, now)
        if isinstance(wait, Permit):
            continue
        assert blocked is not None
        assert blocked[1] == wait
        if wait < math.inf:
            tries = 0
            while not isinstance(wait, Permit):
                now += wait
                wait = try_reserve(limits, amount, now)
                tries += 1
                assert tries <= 8
