"""All breakers of a gateway: made once, configured live, moved by hand, shown."""

import gc
import math

import pytest

from gatewright.errors import ConfigurationError, ConnectionFailed, NotFound
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.registry import CircuitBreakers
from gatewright.pipeline.events import BreakerChanged, Events
from gatewright.testing import FakeClock

from .doubles import CONFIG, deployment

A, B, C = deployment("a"), deployment("b"), deployment("c", provider="other")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def heard():
    return []


@pytest.fixture
def breakers(clock, heard):
    events = Events()
    events.subscribe(heard.append)
    return CircuitBreakers(CONFIG, clock=clock, events=events, random=lambda: 0.0)


def fail(guard, times):
    for _ in range(times):
        guard.failed(guard.breaker.allow(guard._clock.now()), ConnectionFailed("down"))


def test_a_deployment_has_one_breaker_for_as_long_as_it_is_used(breakers):
    guard = breakers.of(A)
    assert breakers.of(A) is guard
    fail(guard, 2)
    assert [one.state for one in breakers.status()] == ["open"]
    del guard
    gc.collect()
    assert breakers.status() == []


async def test_status_and_roll_up_and_free_at(breakers, clock):
    a, b, c = map(breakers.of, (A, B, C))
    b.succeeded(b.breaker.allow(clock.now()))
    fail(a, 2)
    await clock.advance(4)
    first, second, third = breakers.status()
    assert (first.deployment_id, first.provider, first.state, first.next_probe_in) == ("a", "acme", "open", 6.0)
    assert (first.openings, first.failed, first.by_hand) == (1, 2, False)
    assert (second.state, second.succeeded, second.next_probe_in) == ("closed", 1, None)
    rolled = breakers.providers()
    assert (rolled["acme"].state, rolled["acme"].deployments, rolled["acme"].open) == ("partly_open", 2, 1)
    assert rolled["acme"].next_probe_in == 6.0
    assert rolled["other"].state == third.state == c.breaker.state == "closed"
    fail(b, 2)
    assert breakers.providers()["acme"].state == "open"
    now = clock.now()
    assert breakers.free_at("a", now) == now + 6
    assert breakers.free_at("c", now) == breakers.free_at("never seen", now) == now


async def test_free_at_while_probes_are_under_way(breakers, clock):
    guard = breakers.of(A)
    fail(guard, 2)
    await clock.advance(10)
    now = clock.now()
    assert guard.free_at(now) == now
    probe = guard.breaker.allow(now)
    assert guard.free_at(now) == now + 1.0  # its verdict is expected any time
    guard.given_up(probe)
    assert guard.free_at(now) == now


async def test_changes_are_events(breakers, clock, heard):
    guard = breakers.of(A)
    fail(guard, 2)
    await clock.advance(10)
    for _ in range(2):
        guard.succeeded(guard.breaker.allow(clock.now()))
    breakers.open("a")
    assert [(one.before, one.after, one.reason, one.open_for) for one in heard] == [
        ("closed", "open", "failures", 10.0),
        ("open", "half_open", "probes_due", None),
        ("half_open", "closed", "recovered", None),
        ("closed", "open", "by_hand", None),
    ]
    assert {(type(one), one.deployment_id, one.provider) for one in heard} == {(BreakerChanged, "a", "acme")}


def test_configuring_applies_at_once_to_the_one_provider_or_to_all_without_their_own(breakers):
    a, c = breakers.of(A), breakers.of(C)
    breakers.configure(CircuitBreakerConfig(failure_threshold=1, timeout=3, jitter=0), provider="other")
    fail(c, 1)
    fail(a, 1)
    assert (a.breaker.state, c.breaker.state) == ("closed", "open")
    breakers.configure(CircuitBreakerConfig(failure_threshold=50, minimum_calls=100))
    fail(a, 1)
    assert a.breaker.state == "closed"
    breakers.reset()
    fail(c, 1)
    assert c.breaker.state == "open"
    breakers.configure(None, provider="other")
    breakers.reset()
    fail(c, 1)
    assert c.breaker.state == "closed"
    b = breakers.of(B)
    fail(b, 49)
    assert b.breaker.state == "closed"


@pytest.mark.parametrize("config", [None, {"timeout": 1}, 5])
def test_what_is_no_configuration_is_refused_and_changes_nothing(breakers, config):
    guard = breakers.of(A)
    with pytest.raises(ConfigurationError, match="config: expected a CircuitBreakerConfig"):
        breakers.configure(config)
    fail(guard, 2)
    assert guard.breaker.state == "open"


@pytest.mark.parametrize("field", ["timeout", "failure_threshold", "success_threshold", "window"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_wrong_setting_is_named(field, value):
    with pytest.raises(ConfigurationError, match=field):
        CircuitBreakerConfig(**{field: value})


def test_by_hand(breakers, clock):
    a, b, c = map(breakers.of, (A, B, C))
    breakers.open("a")
    assert [one.state for one in breakers.status()] == ["open", "closed", "closed"]
    assert (breakers.status()[0].by_hand, breakers.status()[0].next_probe_in) == (True, None)
    assert breakers.free_at("a", clock.now()) == math.inf
    breakers.close("a")
    breakers.open(provider="acme")
    assert [one.state for one in breakers.status()] == ["open", "open", "closed"]
    later = breakers.of(deployment("later"))
    assert later.breaker.state == "open"
    breakers.reset(provider="acme")
    assert {guard.breaker.state for guard in (a, b, c, later)} == {"closed"}
    assert breakers.of(deployment("much later")).breaker.state == "closed"
    breakers.open()
    assert {guard.breaker.state for guard in (a, b, c, later)} == {"open"}
    latest = breakers.of(deployment("latest"))
    assert latest.breaker.state == "open"
    breakers.close(provider="acme")
    assert breakers.of(deployment("after that")).breaker.state == "closed"
    breakers.close()
    assert {guard.breaker.state for guard in (a, b, c, later)} == {"closed"}


def test_an_unknown_name_is_an_error_that_names_the_nearest(breakers):
    guards = [breakers.of(A), breakers.of(C)]
    with pytest.raises(NotFound, match="did you mean 'acme'"):
        breakers.open(provider="acmee")
    with pytest.raises(NotFound, match="no breaker of deployment 'x'"):
        breakers.reset("x")
    assert {guard.breaker.state for guard in guards} == {"closed"}


def test_a_deployment_of_another_provider_is_named(breakers):
    guard = breakers.of(A)
    breakers.of(C)
    with pytest.raises(NotFound, match="'a' is a deployment of 'acme'"):
        breakers.open("a", provider=C.provider)
    assert guard.breaker.state == "closed"
