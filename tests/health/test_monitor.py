"""What the report says, from events alone."""

import asyncio
import json

import msgspec
import pytest

from gatewright import errors
from gatewright.errors import ConfigurationError
from gatewright.health import HealthConfig, HealthMonitor
from gatewright.health import monitor as monitors
from gatewright.pipeline.events import AttemptEnded, CallStarted, Events, StreamEnded
from gatewright.testing import FakeClock
from gatewright.types.deployment import Deployment


class BreakerStatus(msgspec.Struct):
    deployment_id: str
    provider: str
    state: str


A1 = Deployment(id="a1", group="model", provider="acme", model="m")
A2 = Deployment(id="a2", group="model", provider="acme", model="m")
B = Deployment(id="b", group="model", provider="other", model="m")


class Watched:
    def __init__(self, *deployments, **settings):
        self.clock = FakeClock()
        self.breakers = []
        config = settings.pop("config", None)
        self.monitor = HealthMonitor(
            config, clock=self.clock, deployments=lambda: deployments, breakers=lambda: self.breakers, **settings
        )
        self.events = Events()
        self.monitor.listen(self.events)

    def attempts(self, deployment, good=0, error=None, bad=0, seconds=0.1):
        for number in range(good + bad):
            self.events.emit(
                AttemptEnded(
                    call_id="c",
                    deployment_id=deployment.id,
                    provider=deployment.provider,
                    seconds=seconds,
                    error=None if number < good else error,
                )
            )

    def stream(self, deployment, state, error=None):
        common = {"call_id": "c", "deployment_id": deployment.id, "provider": deployment.provider}
        self.events.emit(AttemptEnded(**common, seconds=0.1, streamed=True))
        self.events.emit(StreamEnded(**common, seconds=2.0, state=state, error=error))

    async def provider(self, name="acme"):
        return (await self.monitor.report())["provider_health"][name]


LIMITED = errors.RateLimited("sk-secret-123456789 says slow down")


async def test_the_report_has_the_form_that_the_specification_shows():
    watched = Watched(A1, B)
    watched.attempts(A1, good=98, error=LIMITED, bad=2, seconds=0.15)
    watched.attempts(B, good=85, error=LIMITED, bad=15, seconds=0.25)
    await watched.clock.advance(3)
    report = await watched.monitor.report()
    good, poor = report["provider_health"]["acme"], report["provider_health"]["other"]
    assert (good["status"], good["success_rate"]) == ("healthy", 0.98)
    assert good["response_time_ms"] == pytest.approx(150, rel=0.05)
    assert (poor["status"], poor["success_rate"]) == ("degraded", 0.85)
    assert (poor["last_error"], poor["last_error_age_seconds"]) == ("Rate limit exceeded", 3.0)
    assert poor["errors"] == {"RateLimited": 15}
    assert poor["deployments"]["b"]["latency_ms"]["p99"] == pytest.approx(250, rel=0.05)
    assert report["status"] == "degraded"
    assert "secret" not in json.dumps(report)


async def test_what_was_never_asked_is_unknown():
    report = await Watched(A1, B).monitor.report()
    assert report["status"] == "unknown"
    assert report["provider_health"]["acme"]["status"] == "unknown"
    assert report["provider_health"]["acme"]["success_rate"] is None
    assert report["provider_health"]["acme"]["last_error"] is None


async def test_one_unknown_provider_is_no_reason_to_worry():
    watched = Watched(A1, B)
    watched.attempts(A1, good=1)
    assert (await watched.monitor.report())["status"] == "healthy"


async def test_a_callers_faults_do_not_count():
    watched = Watched(A1)
    for error in (errors.BadRequest("x"), errors.CallCancelled("x"), errors.NotFound("x")):
        watched.attempts(A1, good=1, error=error, bad=10)
    provider = await watched.provider()
    assert (provider["status"], provider["success_rate"], provider["last_error"]) == ("healthy", 1.0, None)
    assert provider["errors"] == {"BadRequest": 10, "CallCancelled": 10, "NotFound": 10}


async def test_unhealthy_needs_enough_calls():
    watched = Watched(A1)
    watched.attempts(A1, error=LIMITED, bad=4)
    assert (await watched.provider())["status"] == "degraded"
    watched.attempts(A1, error=LIMITED, bad=1)
    assert (await watched.monitor.report())["status"] == "unhealthy"


async def test_an_open_breaker_is_unhealthy_and_degrades_a_provider_that_has_another_deployment():
    watched = Watched(A1, A2)
    watched.attempts(A2, good=10)
    watched.breakers = [BreakerStatus("a1", "acme", "open"), BreakerStatus("a2", "acme", "closed")]
    provider = await watched.provider()
    assert (provider["status"], provider["circuit_breaker"]) == ("degraded", "partly_open")
    assert {id_: one["status"] for id_, one in provider["deployments"].items()} == {"a1": "unhealthy", "a2": "healthy"}
    watched.breakers[1].state = "open"
    assert (await watched.provider())["status"] == "unhealthy"
    watched.breakers[0].state = watched.breakers[1].state = "half_open"
    assert (await watched.provider())["status"] == "degraded"


async def test_streams_count_by_their_end_and_tell_the_time_to_the_first_token():
    watched = Watched(A1)
    watched.stream(A1, "completed")
    watched.stream(A1, "abandoned")
    broken = errors.StreamInterrupted("broke")
    broken.__cause__ = errors.ProviderTimeout("stalled")
    watched.stream(A1, "failed", broken)
    provider = await watched.provider()
    assert (provider["succeeded"], provider["failed"], provider["last_error"]) == (1, 1, "Timed out")
    assert provider["time_to_first_token_ms"]["p50"] == pytest.approx(100, rel=0.05)
    assert provider["response_time_ms"] == pytest.approx(2000, rel=0.05)


async def test_old_traffic_is_forgotten():
    watched = Watched(A1)
    watched.attempts(A1, error=LIMITED, bad=50)
    await watched.clock.advance(301)
    assert (await watched.provider())["status"] == "unknown"


async def test_queues_and_stores_are_in_it():
    async def good():
        return "pong"

    async def bad():
        raise ConnectionRefusedError("redis://user:hunter2@host")

    async def hangs():
        await asyncio.Event().wait()

    watched = Watched(
        A1,
        queues=lambda: {"tenant": 3},
        stores={"journal": good, "redis": bad, "cache": hangs},
        config=HealthConfig(store_timeout=0.01),
    )
    watched.attempts(A1, good=1)
    report = await watched.monitor.report()
    assert report["queues"] == {"tenant": 3}
    assert {name: (one["status"], one["last_error"]) for name, one in report["stores"].items()} == {
        "journal": ("healthy", None),
        "redis": ("unhealthy", "ConnectionRefusedError"),
        "cache": ("unhealthy", "Timed out"),
    }
    assert report["status"] == "degraded"
    assert "hunter2" not in json.dumps(report)


async def test_checks_decide_where_there_is_no_traffic():
    watched = Watched(A1)
    watched.monitor.checked(A1, 0.05, None)
    provider = await watched.provider()
    assert provider["status"] == "healthy"
    assert provider["deployments"]["a1"]["last_check"]["passed"] is True
    watched.monitor.checked(A1, 0.05, errors.ConnectionFailed("down"))
    assert (await watched.provider())["status"] == "unhealthy"
    watched.monitor.checked(A1, 0.05, errors.BadRequest("our own fault"))
    assert (await watched.provider())["status"] == "unknown"
    watched.monitor.checked(A1, 0.05, errors.ConnectionFailed("down"))
    watched.attempts(A1, good=1)
    assert (await watched.provider())["status"] == "healthy"


async def test_who_needs_a_check():
    watched = Watched(A1, B)
    assert watched.monitor.needs_check(A1, 60)
    watched.attempts(A1, good=1)
    assert not watched.monitor.needs_check(A1, 60)
    watched.breakers = [BreakerStatus("a1", "acme", "open")]
    assert watched.monitor.needs_check(A1, 60)
    watched.breakers = []
    await watched.clock.advance(60)
    assert watched.monitor.needs_check(A1, 60)


async def test_deployments_made_on_demand_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(monitors, "MAX_DEPLOYMENTS", 3)
    watched = Watched()
    for number in range(5):
        await watched.clock.advance(1)
        watched.attempts(Deployment(id=f"made-{number}", group="g", provider="acme", model="m"), good=1)
    assert list((await watched.provider())["deployments"]) == ["made-2", "made-3", "made-4"]


async def test_other_events_are_none_of_its_business():
    watched = Watched()
    watched.events.emit(CallStarted(call_id="c", call=None))
    assert (await watched.monitor.report())["provider_health"] == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [("window", 0), ("window", float("nan")), ("degraded_below", 1.1), ("unhealthy_below", 0.99), ("minimum_calls", 0)],
)
def test_a_wrong_setting_is_named(field, value):
    with pytest.raises(ConfigurationError, match=field):
        HealthConfig(**{field: value})


async def test_a_call_that_waits_for_two_deployments_of_a_provider_waits_once():
    watched = Watched(A1, A2, B, waiting=lambda: {"a1": {"x", "y"}, "a2": {"y"}})
    acme = await watched.provider()
    assert acme["waiting"] == 2
    assert [one["waiting"] for one in acme["deployments"].values()] == [2, 1]
    assert (await watched.provider("other"))["waiting"] == 0
