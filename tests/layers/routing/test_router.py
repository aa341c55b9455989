"""The router follows its plan, says where errors come from, and lets no stream end without a word."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gatewright.errors import (
    BadRequest,
    ConnectionFailed,
    ContentPolicyViolation,
    ContextWindowExceeded,
    DeadlineExceeded,
    GatewayError,
    InvalidProviderResponse,
    NotFound,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from gatewright.layers.deadline import DeadlineLayer
from gatewright.layers.routing.plan import Fallbacks
from gatewright.layers.routing.retries import RetryConfig
from gatewright.layers.routing.router import Router
from gatewright.layers.routing.table import RoutingTable
from gatewright.pipeline.call import Call, CallOptions
from gatewright.pipeline.events import AttemptEnded, Event, Events, Fallback, RetryScheduled
from gatewright.pipeline.layer import stack
from gatewright.pipeline.reply import Reply
from gatewright.testing import FakeClock, ScriptedProvider, Step
from gatewright.types.deployment import Deployment
from gatewright.types.limits import LONGEST_PAUSE
from gatewright.types.requests import GenerateRequest
from gatewright.types.results import Chunk, ToolCallDelta
from gatewright.types.usage import Price, Usage

CENT = Price(input_cost_per_token=0.01, output_cost_per_token=0.01)


class Scene:
    """A router over scripted providers, one for each deployment: `{"a": [script of a0, script of a1], "b": …}`."""

    def __init__(
        self,
        scripts: Mapping[str, Sequence[Sequence[Step]]],
        *,
        fallbacks: Fallbacks = Fallbacks(),
        aliases: Mapping[str, str] | None = None,
        continue_streams: bool = False,
        **retries: Any,
    ) -> None:
        self.clock = FakeClock()
        self.events: list[Event] = []
        events = Events()
        events.subscribe(self.events.append)
        self.providers = {
            f"{group}{place}": ScriptedProvider(
                script, provider="p", model=f"m-{group}{place}", deployment_id=f"{group}{place}"
            )
            for group, of in scripts.items()
            for place, script in enumerate(of)
        }
        deployments = [
            # By `order`, so that the first is asked first.
            Deployment(id=f"{group}{n}", group=group, provider="p", model=f"m-{group}{n}", order=n, price=CENT)
            for group, of in scripts.items()
            for n, _ in enumerate(of)
        ]
        self.table = RoutingTable(deployments, aliases=aliases, rng=random.Random(1))
        self.router = Router(
            self.table,
            lambda deployment: self.providers[deployment.id],
            fallbacks=fallbacks,
            retries=RetryConfig(**retries),
            clock=self.clock,
            events=events,
            rng=random.Random(1),
            continue_streams=continue_streams,
        )

    def call(self, model: str = "a", *, timeout: float | None = None, stream: bool = False, **more: Any) -> Call:
        options = CallOptions(**more.pop("options", {}))
        request = GenerateRequest(model=model, messages=[{"role": "user", "content": "hi"}], **more)
        now = self.clock.now()
        deadline = None if timeout is None else now + timeout
        return Call(request=request, id="req_1", started_at=now, deadline=deadline, stream=stream, options=options)

    async def answer(self, call: Call | None = None) -> Any:
        """Route a call and read its answer; time passes as it is waited for."""
        task = asyncio.create_task(self._whole(call or self.call()))
        while not task.done():
            await self.clock.advance(0.25)
        return await task

    async def _whole(self, call: Call) -> Any:
        reply = await self.router(call)
        async with reply:
            return await reply.value()

    def asked(self) -> dict[str, int]:
        return {id_: len(one.calls) for id_, one in self.providers.items() if one.calls}

    def in_flight(self) -> int:
        return sum(state.in_flight for group in self.table.groups() for state in group.states)


def down() -> GatewayError:
    return ProviderUnavailable("down")


async def text_of(reply: Reply[Any, Any]) -> str:
    async with reply:
        return (await reply.value()).choices[0].text


async def test_another_deployment_is_asked_at_once_and_the_answer_says_how_often():
    scene = Scene({"a": [[down()], ["hello"]]})
    began = scene.clock.now()
    reply = await scene.router(scene.call())
    assert await text_of(reply) == "hello"
    assert reply.attempts == 2
    assert scene.clock.now() == began
    assert scene.in_flight() == 0


async def test_the_same_deployment_is_asked_again_after_a_wait():
    scene = Scene({"a": [[down(), down(), "hello"]]})
    assert (await scene.answer()).choices[0].text == "hello"
    assert scene.asked() == {"a0": 3}
    waits = [event.seconds for event in scene.events if isinstance(event, RetryScheduled)]
    assert len(waits) == 2
    assert 0 <= waits[0] <= 0.5
    assert 0 <= waits[1] <= 1.0


async def test_retry_after_is_waited_for():
    scene = Scene({"a": [[RateLimited("slow down", retry_after=7.0), "hello"]]})
    began = scene.clock.now()
    assert (await scene.answer()).choices[0].text == "hello"
    assert scene.clock.now() - began >= 7.0


async def test_retry_after_holds_for_all_calls():
    scene = Scene({"a": [[RateLimited("slow down", retry_after=30.0), "later"], ["one", "two"]]})
    assert (await scene.answer()).choices[0].text == "one"
    assert (await scene.answer()).choices[0].text == "two"
    assert scene.asked() == {"a0": 1, "a1": 2}
    await scene.clock.advance(31)
    assert (await scene.answer()).choices[0].text == "later"


async def test_a_retry_after_that_is_too_long_is_not_waited_for_and_said():
    scene = Scene({"a": [[RateLimited("slow down", retry_after=100.0)]]})
    with pytest.raises(RateLimited) as first:
        await scene.answer()
    with pytest.raises(RateLimited) as second:
        await scene.answer()
    assert first.value.attempts == 1
    assert second.value.attempts == 0
    assert 99 < (second.value.retry_after or 0) <= 100
    assert second.value.request_id == "req_1"


async def test_a_retry_after_of_ages_does_not_close_a_deployment_for_ever():
    scene = Scene({"a": [[RateLimited("slow down", retry_after=1e12), "hello"]]})
    with pytest.raises(RateLimited):
        await scene.answer()
    await scene.clock.advance(LONGEST_PAUSE)
    assert (await scene.answer()).choices[0].text == "hello"


@pytest.mark.parametrize("error", [BadRequest("no"), ContentPolicyViolation("no"), ContextWindowExceeded("no")])
async def test_what_may_not_be_retried_is_not(error: GatewayError):
    scene = Scene({"a": [[error], ["x"]], "b": [["x"]]}, fallbacks=Fallbacks(default=["b"]))
    with pytest.raises(type(error)):
        await scene.answer()
    assert scene.asked() == {"a0": 1}


@pytest.mark.parametrize(
    "error",
    [
        NotFound("no"),
        RateLimited("the quota is used up", retryable=False),
        ConnectionFailed("the certificate is not trusted", retryable=False),
    ],
)
async def test_what_is_wrong_at_one_deployment_is_asked_at_the_next_and_never_again_there(error: GatewayError):
    scene = Scene({"a": [[error], [down(), "hello"]]})
    assert (await scene.answer()).choices[0].text == "hello"
    assert scene.asked() == {"a0": 1, "a1": 2}


async def test_a_model_without_an_answer_falls_back():
    scene = Scene({"a": [[down()]], "b": [["hello"]]}, fallbacks=Fallbacks(by_model={"a": ["b"]}), max_retries=0)
    assert (await scene.answer()).choices[0].text == "hello"
    assert [event.target for event in scene.events if isinstance(event, Fallback)] == ["b"]


async def test_fallbacks_by_the_alias_that_was_asked_for():
    scene = Scene(
        {"a": [[down()]], "b": [["hello"]]},
        fallbacks=Fallbacks(by_model={"fast": ["b"]}),
        aliases={"fast": "a"},
        max_retries=0,
    )
    assert (await scene.answer(scene.call("fast"))).choices[0].text == "hello"


async def test_an_alias_of_the_failed_model_is_no_fallback():
    scene = Scene(
        {"a": [[down()]]}, fallbacks=Fallbacks(by_model={"a": ["same"]}), aliases={"same": "a"}, max_retries=0
    )
    with pytest.raises(ProviderUnavailable):
        await scene.answer()
    assert scene.asked() == {"a0": 1}


async def test_a_request_that_a_fallback_finds_wrong_goes_no_further():
    scene = Scene(
        {"a": [[down()]], "b": [[ContentPolicyViolation("no")]], "c": [["x"]]},
        fallbacks=Fallbacks(by_model={"a": ["b", "c"]}),
        max_retries=0,
    )
    with pytest.raises(ContentPolicyViolation):
        await scene.answer()
    assert scene.asked() == {"a0": 1, "b0": 1}


async def test_a_call_has_fallbacks_of_its_own_and_keeps_those_for_its_context_window():
    scene = Scene(
        {"a": [[ContextWindowExceeded("long"), down()]], "b": [["short"]], "c": [["long", "x"]]},
        fallbacks=Fallbacks(by_model={"a": ["c"]}, context_window={"a": ["c"]}),
        max_retries=0,
    )
    own = {"fallbacks": ("b",)}
    assert (await scene.answer(scene.call(options=own))).choices[0].text == "long"
    assert (await scene.answer(scene.call(options=own))).choices[0].text == "short"


async def test_a_slip_in_a_calls_own_fallbacks_shows_before_the_outage():
    scene = Scene({"a": [["x"]]})
    with pytest.raises(NotFound, match="'aa'") as caught:
        await scene.answer(scene.call(options={"fallbacks": ("aa",)}))
    assert caught.value.request_id == "req_1"
    assert scene.asked() == {}


async def test_an_error_says_where_it_comes_from_and_keeps_its_cause():
    cause = KeyError("inner")
    error = InvalidProviderResponse("odd")
    error.__cause__ = cause
    scene = Scene({"a": [[error]]}, max_retries=0)
    with pytest.raises(InvalidProviderResponse) as caught:
        await scene.answer()
    assert (caught.value.provider, caught.value.model, caught.value.request_id) == ("p", "m-a0", "req_1")
    assert caught.value.__cause__ is cause
    assert caught.value.attempts == 1


async def test_a_bug_in_a_provider_is_an_invalid_answer_and_tried_elsewhere():
    bug = KeyError("sk-secret")
    scene = Scene({"a": [[bug], ["hello"]]})
    assert (await scene.answer()).choices[0].text == "hello"
    ended = [event.error for event in scene.events if isinstance(event, AttemptEnded) and event.error is not None]
    assert isinstance(ended[0], InvalidProviderResponse)
    assert ended[0].__cause__ is None or ended[0].__cause__ is bug
    assert "sk-secret" not in str(ended[0])


async def test_retries_stop_when_the_budget_is_spent():
    scene = Scene({"a": [[down()] * 40]}, budget_reserve=3.0, budget_ratio=0.0, budget_per_second=0.0, base=0.0)
    for _ in range(10):
        with pytest.raises(ProviderUnavailable):
            await scene.router(scene.call())
    assert scene.asked() == {"a0": 10 + 3}


async def test_retries_at_a_fallback_are_paid_from_its_own_budget():
    scene = Scene(
        {"a": [[down()] * 9], "b": [[down()] * 9], "c": [[down()] * 40]},
        fallbacks=Fallbacks(default=["c"]),
        budget_reserve=1.0,
        budget_ratio=0.0,
        budget_per_second=0.0,
        base=0.0,
    )
    for model in ("a", "b"):
        with pytest.raises(ProviderUnavailable):
            await scene.router(scene.call(model))
    assert scene.asked() == {"a0": 2, "b0": 2, "c0": 2 + 1}


async def test_no_wait_goes_past_the_deadline():
    scene = Scene({"a": [[RateLimited("slow down", retry_after=7.0), "late"]]})
    with pytest.raises(RateLimited):
        await scene.answer(scene.call(timeout=5.0))


async def test_a_cancelled_call_leaves_nothing_under_way():
    gate = asyncio.Event()
    scene = Scene({"a": [["x"]]})
    scene.providers["a0"]._gate = gate  # pyright: ignore[reportPrivateUsage]
    task = asyncio.create_task(scene.router(scene.call()))
    await asyncio.sleep(0)
    assert scene.in_flight() == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.in_flight() == 0


# --- streams ---


async def test_a_stream_that_fails_before_its_first_chunk_is_retried():
    scene = Scene({"a": [[[down()], ["hel", "lo"]]]}, base=0.0)
    reply = await scene.router(scene.call(stream=True))
    assert await text_of(reply) == "hello"
    assert reply.attempts == 2


async def test_a_stream_that_fails_later_ends_with_its_text():
    scene = Scene({"a": [[["hel", ConnectionFailed("gone")]]]})
    reply = await scene.router(scene.call(stream=True))
    with pytest.raises(StreamInterrupted) as caught:
        await text_of(reply)
    error = caught.value
    assert error.text == "hel"
    assert (error.provider, error.model, error.request_id) == ("p", "m-a0", "req_1")
    assert not error.retryable
    assert isinstance(error.__cause__, ConnectionFailed)
    assert scene.in_flight() == 0


async def test_a_bug_in_a_stream_ends_it_with_its_text():
    scene = Scene({"a": [[["hel", TypeError("bug")]]]})
    with pytest.raises(StreamInterrupted, match="TypeError") as caught:
        await text_of(await scene.router(scene.call(stream=True)))
    assert caught.value.text == "hel"


def continuing(first: Sequence[Any], second: Step = ("lo",), **more: Any) -> Scene:
    return Scene(
        {"a": [[first]], "b": [[second]]},
        fallbacks=Fallbacks(by_model={"a": ["b"]}),
        continue_streams=True,
        max_retries=0,
        **more,
    )


async def test_a_broken_stream_goes_on_at_the_fallback_with_its_text_as_prefix():
    counted = Chunk(finish_reason="stop", usage=Usage(prompt_tokens=9, completion_tokens=1, total_tokens=10))
    scene = continuing(["hel", ConnectionFailed("gone")], ["lo", counted])
    reply = await scene.router(scene.call(stream=True))
    async with reply:
        answer = await reply.value()
    assert answer.choices[0].text == "hello"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.deployment_id, answer.model) == ("b0", "m-b0")
    assert reply.attempts == 2
    assert scene.providers["b0"].calls[0].generation.messages == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hel"},
    ]
    # What the first part used is estimated: a message of "hi" is 5 tokens, "hel" is one.
    assert answer.usage == Usage(prompt_tokens=14, completion_tokens=2, total_tokens=16, source="estimated")
    assert scene.in_flight() == 0


@pytest.mark.parametrize(
    "last",
    [
        Chunk(tool_calls=(ToolCallDelta(index=0, id="t", name="f"),)),
        Chunk(text="x", index=1),
        Chunk(finish_reason="stop"),
    ],
    ids=["a tool call", "another choice", "the end"],
)
async def test_what_cannot_be_continued_is_not(last: Chunk):
    scene = continuing(["hel", last, ConnectionFailed("gone")])
    with pytest.raises(StreamInterrupted) as caught:
        await text_of(await scene.router(scene.call(stream=True)))
    assert caught.value.text == "hel"
    assert scene.asked() == {"a0": 1}


async def test_several_answers_are_not_continued():
    scene = continuing(["hel", ConnectionFailed("gone")])
    with pytest.raises(StreamInterrupted):
        await text_of(await scene.router(scene.call(stream=True, params={"n": 2})))
    assert scene.asked() == {"a0": 1}


async def test_a_completion_goes_on_in_its_prompt():
    scene = continuing(["hel", ConnectionFailed("gone")])
    call = scene.call(stream=True)
    request = GenerateRequest(model="a", style="text", prompt="say ")
    assert await text_of(await scene.router(call.replace(request=request))) == "hello"
    assert scene.providers["b0"].calls[0].generation.prompt == "say hel"


async def test_an_error_that_cannot_be_retried_is_not_continued():
    scene = continuing(["hel", ContentPolicyViolation("no")])
    with pytest.raises(StreamInterrupted):
        await text_of(await scene.router(scene.call(stream=True)))
    assert scene.asked() == {"a0": 1}


async def test_a_continuation_that_fails_too_ends_with_all_the_text():
    scene = continuing(["hel", ConnectionFailed("gone")], ["lo", ConnectionFailed("gone too")])
    with pytest.raises(StreamInterrupted) as caught:
        await text_of(await scene.router(scene.call(stream=True)))
    assert caught.value.text == "hello"
    assert scene.in_flight() == 0


async def test_a_call_can_say_that_its_stream_is_to_be_continued():
    scene = Scene(
        {"a": [[["hel", ConnectionFailed("gone")]]], "b": [[["lo"]]]},
        fallbacks=Fallbacks(by_model={"a": ["b"]}),
        max_retries=0,
    )
    assert await text_of(await scene.router(scene.call(stream=True, options={"continue_streams": True}))) == "hello"


async def test_closing_a_continued_stream_closes_what_is_being_read():
    scene = continuing(["hel", ConnectionFailed("gone")], ["l", "o", "more", "more"])
    reply = await scene.router(scene.call(stream=True))
    seen: list[str] = []
    async with reply:
        async for chunk in reply:
            seen.append(chunk.text)
            if chunk.text == "l":
                break
    assert seen == ["hel", "l"]
    assert reply.outcome is not None
    assert reply.outcome.state == "abandoned"
    assert [one.open_streams for one in scene.providers.values()] == [0, 0]
    assert scene.in_flight() == 0


async def test_a_deadline_ends_a_stream_as_a_deadline():
    scene = Scene({"a": [[["hel", "lo"]]]})
    handle = stack([DeadlineLayer(scene.clock)], scene.router)
    reply = await handle(scene.call(stream=True, timeout=0.01))
    await asyncio.sleep(0.05)
    with pytest.raises(DeadlineExceeded):
        await reply.value()
    assert scene.in_flight() == 0
