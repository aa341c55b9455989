"""What subscribers hear: each call begins once and is settled once, however it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    GatewayClosed,
    GatewayError,
    NotFound,
    ProviderUnavailable,
    StreamInterrupted,
)
from gatewright.pipeline.events import (
    AttemptEnded,
    CallSettled,
    CallStarted,
    Event,
    Fallback,
    RetryScheduled,
    StreamEnded,
)
from gatewright.testing import ScriptedProvider


class Heard:
    """Keeps the events of a gateway."""

    def __init__(self, gateway: Any) -> None:
        self.events: list[Event] = []
        gateway.subscribe(self.events.append)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def settled(self) -> CallSettled:
        """Give the one ending of the one call, which is the last that is heard."""
        started, settled = self.of(CallStarted), self.of(CallSettled)
        assert (len(started), len(settled)) == (1, 1)
        assert self.events[0] is started[0]
        assert [event for event in self.events if not isinstance(event, StreamEnded)][-1] is settled[0]
        assert {event.call_id for event in self.events} == {started[0].call.id}
        assert settled[0].seconds >= 0
        return settled[0]


async def _read(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_completed_whole(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider(["a"])) as gateway:
        heard = Heard(gateway)
        await gateway.generate_async("x")
    outcome = heard.settled().outcome
    assert (outcome.state, outcome.value.choices[0].text) == ("completed", "a")
    (attempt,) = heard.of(AttemptEnded)
    assert (attempt.deployment_id, attempt.provider, attempt.error) == ("m#0", "own", None)


async def test_completed_stream(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([["a", "b"]])) as gateway:
        heard = Heard(gateway)
        await _read(gateway.generate_stream("x"))
    assert (heard.settled().outcome.state, heard.settled().outcome.value.choices[0].text) == ("completed", "ab")


async def test_completed_embeddings_in_pieces(gateway_of: Any, patient: Any) -> None:
    patient.release.set()
    async with gateway_of(patient) as gateway:
        gateway._assembly.lanes.embed_limit = lambda _: 2
        heard = Heard(gateway)
        await gateway.embed_async(["a"] * 5)
    assert heard.settled().outcome.state == "completed"
    assert len(heard.of(AttemptEnded)) == 3


@pytest.mark.parametrize("streamed", [False, True])
async def test_failed_before_the_first_chunk(gateway_of: Any, streamed: bool) -> None:
    async with gateway_of(ScriptedProvider([AuthenticationFailed("no")])) as gateway:
        heard = Heard(gateway)
        with pytest.raises(AuthenticationFailed) as raised:
            await (_read(gateway.generate_stream("x")) if streamed else gateway.generate_async("x"))
    outcome = heard.settled().outcome
    assert (outcome.state, outcome.error, outcome.value) == ("failed", raised.value, None)
    assert [attempt.error for attempt in heard.of(AttemptEnded)] == [raised.value]


async def test_failed_before_any_attempt(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([])) as gateway:
        heard = Heard(gateway)
        with pytest.raises(NotFound):
            await gateway.generate_async("x", model="none")
    assert heard.settled().outcome.state == "failed"
    assert heard.of(AttemptEnded) == []


async def test_failed_later(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([["a", ConnectionFailed("broke")]])) as gateway:
        heard = Heard(gateway)
        with pytest.raises(StreamInterrupted):
            await _read(gateway.generate_stream("x"))
    outcome = heard.settled().outcome
    assert (outcome.state, outcome.value.choices[0].text) == ("failed", "a")
    assert isinstance(outcome.error, StreamInterrupted)


async def test_abandoned(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([["a", "b", "c"]])) as gateway:
        heard = Heard(gateway)
        async with gateway.generate_stream("x") as stream:
            await anext(stream)
        outcome = heard.settled().outcome
        assert (outcome.state, outcome.value.choices[0].text) == ("abandoned", "a")


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelled_before_the_first_chunk(
    gateway_of: Any, patient: Any, until_async: Any, streamed: bool
) -> None:
    patient.first_chunk_waits = True
    async with gateway_of(patient) as gateway:
        heard = Heard(gateway)
        work = _read(gateway.generate_stream("x")) if streamed else gateway.generate_async("x")
        task = asyncio.ensure_future(work)
        await until_async(lambda: patient.started)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert heard.settled().outcome.state == "abandoned"


@pytest.mark.parametrize("way", ["whole", "first chunk", "later"])
async def test_deadline(gateway_of: Any, patient: Any, way: str) -> None:
    patient.first_chunk_waits = way == "first chunk"
    async with gateway_of(patient) as gateway:
        heard = Heard(gateway)
        with pytest.raises(DeadlineExceeded):
            if way == "whole":
                await gateway.generate_async("x", timeout=0.02)
            else:
                await _read(gateway.generate_stream("x", timeout=0.02))
    outcome = heard.settled().outcome
    assert outcome.state == "failed"
    assert isinstance(outcome.error, DeadlineExceeded)


@pytest.mark.parametrize("way", ["whole", "first chunk", "later"])
async def test_cut_off_by_closing(gateway_of: Any, patient: Any, until_async: Any, way: str) -> None:
    patient.first_chunk_waits = way == "first chunk"
    gateway = gateway_of(patient, close_timeout=0)
    heard = Heard(gateway)
    work = gateway.generate_async("x") if way == "whole" else _read(gateway.generate_stream("x"))
    task = asyncio.ensure_future(work)
    await until_async(lambda: patient.started and (way != "later" or patient.given))
    await gateway.aclose()
    with pytest.raises(GatewayClosed):
        await task
    outcome = heard.settled().outcome
    assert outcome.state == "failed"
    assert isinstance(outcome.error, GatewayClosed)


async def test_retries_and_fallbacks_are_told() -> None:
    bad, good = ScriptedProvider([ProviderUnavailable("down")] * 2), ScriptedProvider(["a"])
    config = GatewayConfig(
        model_list=[  # type: ignore[list-item]
            {"model_name": "first", "litellm_params": {"model": "bad/m"}},
            {"model_name": "second", "litellm_params": {"model": "good/m"}},
        ],
        fallbacks={"first": ["second"]},
        max_retries=1,
        retries={"base": 0.0},  # type: ignore[arg-type]
    )
    async with LiteLLMGateway(config, providers={"bad": lambda _: bad, "good": lambda _: good}) as gateway:
        heard = Heard(gateway)
        assert (await gateway.generate_async("x", model="first")).attempts == 3
    assert heard.settled().outcome.state == "completed"
    assert [type(event) for event in heard.events] == [
        CallStarted,
        AttemptEnded,
        RetryScheduled,
        AttemptEnded,
        Fallback,
        AttemptEnded,
        CallSettled,
    ]
    (fallback,) = heard.of(Fallback)
    assert (fallback.source, fallback.target) == ("first", "second")


async def test_a_subscriber_s_error_reaches_no_call(gateway_of: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Event) -> None:
        raise ValueError("mine")

    async with gateway_of(ScriptedProvider(["a", GatewayError("b")])) as gateway:
        gateway.subscribe(fail)
        assert (await gateway.generate_async("x")).text == "a"
        with pytest.raises(GatewayError, match="b"):
            await gateway.generate_async("y")
    assert "a subscriber failed on CallSettled" in caplog.text


async def test_a_subscription_can_be_ended(gateway_of: Any) -> None:
    heard: list[Event] = []
    async with gateway_of(ScriptedProvider(["a", "b"])) as gateway:
        end = gateway.subscribe(heard.append)
        await gateway.generate_async("x")
        count = len(heard)
        end()
        await gateway.generate_async("y")
    assert count == len(heard) == 3


def test_a_call_from_another_thread_is_told_once(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway:
        heard = Heard(gateway)
        gateway.generate("x")
    assert heard.settled().outcome.state == "completed"
