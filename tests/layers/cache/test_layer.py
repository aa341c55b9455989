"""The cache's layer over a scripted provider: what is kept, what is given late, what is fetched anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import AuthenticationFailed, BadRequest, ContentPolicyViolation, ProviderUnavailable
from gatewright.layers.cache import CacheConfig, CacheMechanism
from gatewright.layers.cache.asked import Model
from gatewright.layers.cache.layer import CacheLayer
from gatewright.pipeline.call import CacheWishes, Call, CallOptions, new_id
from gatewright.pipeline.events import CacheHit, CallSettled, CallStarted, Event, Events
from gatewright.pipeline.reply import Reply
from gatewright.testing import FakeClock, ScriptedProvider
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Embeddings, ToolCall
from gatewright.types.usage import Usage

HELLO = [{"role": "user", "content": "hello"}]
CONTEXT: dict[str, Any] = {"model": "m", "provider": "p", "deployment_id": "m#0"}


class Setting:
    """A layer, what it stands on, and what was heard."""

    def __init__(self, *script: Any, ttl: float = 60.0, known: Any = lambda _: False, **config: Any) -> None:
        self.clock = FakeClock()
        self.provider = ScriptedProvider(script, clock=self.clock)
        self.cache = CacheMechanism(CacheConfig(**config), now=self.clock.now)
        self.heard: list[Event] = []
        self.version = "1"
        events = Events()
        events.subscribe(self.heard.append)
        self.layer = CacheLayer(
            self.cache,
            ttl,
            clock=self.clock,
            events=events,
            models=lambda name: Model(name, "setup", frozenset(), frozenset({"m#0"})),
            policy=lambda _: self.version,
            is_known=known,
        )

    async def ask(self, messages: Any = HELLO, wishes: CacheWishes | None = None, **call: Any) -> Reply[Any, Any]:
        params = call.pop("params", {})
        request = GenerateRequest(model="m", messages=messages, params=params)
        options = CallOptions(cache=wishes, **call.pop("options", {}))
        reply = await self.layer(
            Call(request=request, id=new_id(), started_at=self.clock.now(), options=options, **call), self.provider
        )
        async with reply:
            await reply.value()
        return reply

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]


def answer(text: str = "yes", finish_reason: str | None = "stop", **more: Any) -> Answer:
    return Answer(choices=[Choice(text=text, finish_reason=finish_reason, **more)], **CONTEXT)


def text_of(reply: Reply[Any, Any]) -> str:
    assert reply.outcome is not None
    return reply.outcome.value.choices[0].text


WELL = Choice(text="a", finish_reason="stop")
TOOL = ToolCall(id="1", name="f", arguments="{}")


@pytest.mark.parametrize(
    ("given", "params", "kept"),
    [
        (answer(), {}, True),
        (answer(finish_reason=None), {}, True),
        (answer(finish_reason="length"), {"max_tokens": 1}, False),
        (answer(finish_reason="content_filter"), {}, False),
        (answer("", "content_filter"), {}, False),
        (answer(""), {}, False),
        (answer("", "tool_calls", tool_calls=(TOOL,)), {}, True),
        (answer("", refusal="No."), {}, True),
        (Answer(choices=[], **CONTEXT), {}, False),
        (Answer(choices=[WELL, Choice(text="b", finish_reason="length")], **CONTEXT), {"n": 2}, False),
        (answer('{"a": 1}'), {"response_format": {"type": "json_object"}}, True),
        (answer('{"a": 1'), {"response_format": {"type": "json_object"}}, False),
        (answer("prose"), {"response_format": {"type": "json_schema", "json_schema": {}}}, False),
        (answer("prose"), {"response_format": {"type": "text"}}, True),
        (answer("x" * 5_000), {}, False),
        (Answer(choices=[WELL], raw={"object": object()}, **CONTEXT), {}, False),
    ],
)  # fmt: skip
async def test_only_whole_and_good_answers_are_kept(given: Answer, params: dict[str, Any], kept: bool) -> None:
    here = Setting(given, answer("another"), max_value_bytes=4_000)
    await here.ask(params=params)
    again = await here.ask(params=params)
    assert again.cached is kept
    assert len(here.provider.calls) == (1 if kept else 2)


@pytest.mark.parametrize("error", [BadRequest("no"), ProviderUnavailable("no"), ContentPolicyViolation("no")])
async def test_failures_are_not_kept(error: Exception) -> None:
    here = Setting(error, "yes")
    with pytest.raises(type(error)):
        await here.ask()
    assert (await here.ask()).cache_status == "miss"


async def test_a_reader_that_leaves_keeps_nothing() -> None:
    here = Setting(["one ", "two"], "whole", answer_streams=True)
    call = Call(request=GenerateRequest(model="m", messages=HELLO), id="1", started_at=0.0, stream=True)
    reply = await here.layer(call, here.provider)
    async with reply:
        await reply.batch()
    assert text_of(await here.ask()) == "whole"


async def test_a_fallbacks_answer_is_not_kept() -> None:
    here = Setting("by the fallback", answer("by the model"), known=lambda id_: id_ in ("scripted", "m#0"))
    assert text_of(await here.ask()) == "by the fallback"
    assert text_of(await here.ask()) == "by the model"
    assert (await here.ask()).cached


async def test_an_answer_that_was_guarded_by_another_policy_is_not_given() -> None:
    here = Setting("one", "two")
    await here.ask()
    here.version = "2"
    assert text_of(await here.ask()) == "two"
    here.version = "1"
    assert text_of(await here.ask()) == "one"


async def test_an_alias_has_answers_of_its_own_where_there_are_guards() -> None:
    here = Setting(*"abcde")
    here.layer._models = lambda _: Model("m", "setup")

    async def ask(name: str) -> bool:
        call = Call(request=GenerateRequest(model=name, messages=HELLO), id=new_id(), started_at=0.0)
        reply = await here.layer(call, here.provider)
        await reply.value()
        return reply.cached

    here.version = ""
    assert [await ask(name) for name in ("m", "alias", "m")] == [False, True, True]
    here.version = "guards"
    assert [await ask(name) for name in ("m", "alias", "m", "alias")] == [False, False, True, True]


async def test_what_cannot_be_used_can_be_discarded() -> None:
    here = Setting("one", "two")
    reply = await here.ask()
    assert reply.discard is not None
    reply.discard()
    reply = await here.ask()
    assert (text_of(reply), reply.cache_status) == ("two", "miss")
    reply = await here.ask()
    assert reply.cached
    assert reply.discard is not None
    reply.discard()
    assert here.cache.stats().entries == 0


async def test_what_steers_the_answer_is_in_the_key() -> None:
    here = Setting(*"abcd")
    for options in ({}, {"fallbacks": ("x",)}, {"fallbacks": ("y",)}, {"drop_params": True}):
        assert not (await here.ask(options=options)).cached
        assert (await here.ask(options=options)).cached
    assert (await here.ask(options={"max_retries": 5})).cached


async def test_what_saved_is_counted_and_told() -> None:
    given = answer()
    given.cost_usd, given.usage = 0.25, Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    here = Setting(given)
    here.provider._delay = 2.0
    asking = asyncio.create_task(here.ask())
    await here.clock.advance(2.0)
    await asking
    await here.clock.advance(5.0)
    hit = await here.ask()
    assert hit.outcome is not None
    assert (hit.outcome.value.cost_usd, hit.outcome.value.usage) == (0.0, given.usage)
    (event,) = here.of(CacheHit)
    assert (event.tier, event.age, event.saved_usd, event.saved_seconds) == ("memory", 5.0, 0.25, 2.0)
    stats = here.cache.stats()
    assert (stats.hits, stats.misses, stats.saved_usd, stats.saved_seconds) == (1, 1, 0.25, 2.0)


async def test_past_its_time_it_is_asked_anew() -> None:
    here = Setting("one", "two", ttl=10.0)
    await here.ask()
    await here.clock.advance(11.0)
    assert text_of(await here.ask()) == "two"


async def test_the_stale_is_given_while_one_call_fetches_it_anew() -> None:
    here = Setting("one", "two", "three", ttl=10.0, stale_while_revalidate=20.0)
    await here.ask()
    await here.clock.advance(15.0)
    here.provider._gate = asyncio.Event()
    late = [await here.ask() for _ in range(5)]
    assert [(text_of(one), one.cache_status, one.cached) for one in late] == [("one", "stale", True)] * 5
    await asyncio.sleep(0)
    assert len(here.provider.calls) == 2
    here.provider._gate.set()
    await here.clock.advance(0.0)
    fresh = await here.ask()
    assert (text_of(fresh), fresh.cache_status) == ("two", "hit")
    # The call that fetched it is told of as any other: it had its price.
    (started,), (settled,) = here.of(CallStarted), here.of(CallSettled)
    assert started.call_id == settled.call_id == here.provider.calls[1].id
    assert settled.outcome.state == "completed"
    assert here.cache.stats().stale == 5
    await here.clock.advance(31.0)
    assert text_of(await here.ask()) == "three"


async def test_a_fetch_that_fails_is_told_and_tried_again() -> None:
    here = Setting("one", ProviderUnavailable("down"), "two", ttl=10.0, stale_while_revalidate=100.0)
    await here.ask()
    await here.clock.advance(15.0)
    for expected in ("one", "one", "two"):
        assert text_of(await here.ask()) == expected
        await here.clock.advance(0.0)
    assert [event.outcome.state for event in here.of(CallSettled)] == ["failed", "completed"]


@pytest.mark.parametrize(("error", "given"), [(ProviderUnavailable("down"), True), (AuthenticationFailed("no"), False)])
async def test_the_stale_is_given_where_asking_anew_fails_for_now(error: Exception, given: bool) -> None:
    here = Setting("one", error, error, ttl=10.0, stale_if_error=20.0)
    await here.ask()
    await here.clock.advance(15.0)
    if given:
        late = await here.ask()
        assert (text_of(late), late.cache_status) == ("one", "stale")
    else:
        with pytest.raises(type(error)):
            await here.ask()
    await here.clock.advance(16.0)
    with pytest.raises(type(error)):
        await here.ask()


async def test_what_another_program_wrote_is_nothing() -> None:
    here = Setting("one", "two")
    await here.ask()
    (key,) = here.cache.tiers.memory._listed
    for data in (b"", b"\xc1", b"\x91\x02", b"{}", b"\x9c\x63" + b"\xc0" * 11):
        here.cache.tiers.hold({key: here.cache.item(data, 60.0)})
        here.provider.extend("again")
        assert (await here.ask()).cache_status == "miss"


async def test_the_fingerprint_travels_with_the_call() -> None:
    here = Setting("one")
    await here.ask()
    assert here.provider.calls[0].fingerprint is not None


async def test_a_request_like_no_other_is_asked_past_the_cache() -> None:
    here = Setting("one", "two")
    for expected in ("one", "two"):
        reply = await here.ask(params={"made_up": object()})
        assert (text_of(reply), reply.cache_status) == (expected, "bypass")


async def embed(here: Setting, *texts: str, wishes: CacheWishes | None = None) -> Reply[Any, Any]:
    request = EmbedRequest(model="m", inputs=list(texts))
    call = Call(request=request, id=new_id(), started_at=here.clock.now(), options=CallOptions(cache=wishes))
    return await here.layer(call, here.provider)


async def test_vectors_of_a_fallback_are_not_kept() -> None:
    vectors = Embeddings(vectors=[[1.0]], model="m", provider="p", deployment_id="other")
    here = Setting(vectors, vectors, known=lambda _: True)
    assert (await embed(here, "a")).cache_status == "miss"
    assert (await embed(here, "a")).cache_status == "miss"


async def test_vectors_by_wish() -> None:
    def given(value: float) -> Embeddings:
        return Embeddings(vectors=[[value]], **CONTEXT)

    here = Setting(given(1.0), given(0.1), given(2.0))
    assert (await embed(here, "a", wishes=CacheWishes(no_store=True))).cache_status == "miss"
    assert (await (await embed(here, "a")).value()).vectors == [[0.1]]
    assert (await (await embed(here, "a")).value()).vectors == [[0.1]]
    past = await embed(here, "a", wishes=CacheWishes(no_cache=True))
    assert (past.cache_status, (await past.value()).vectors) == ("bypass", [[2.0]])
    assert (await (await embed(here, "a")).value()).vectors == [[2.0]]
    await here.clock.advance(30.0)
    here.provider.extend(given(3.0))
    assert (await embed(here, "a", wishes=CacheWishes(max_age=10.0))).cache_status == "miss"


async def test_a_failing_batch_keeps_nothing_and_gives_nothing() -> None:
    here = Setting(Embeddings(vectors=[[1.0]], **CONTEXT), ProviderUnavailable("down"))
    await embed(here, "a")
    with pytest.raises(ProviderUnavailable):
        await embed(here, "a", "b")
    assert (await embed(here, "a")).cached
