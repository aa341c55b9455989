"""Identical calls of several processes, on a real Redis: each `Process` has its own connection and its own layers."""

import asyncio

import pytest

from gatewright.clock import MONOTONIC
from gatewright.errors import BadRequest, DeadlineExceeded, ProviderUnavailable, RateLimited, StreamInterrupted
from gatewright.layers.deduplication.config import DeduplicationConfig
from gatewright.layers.deduplication.layer import DeduplicationLayer
from gatewright.layers.deduplication.shared import SharedBoard, SharedFlightsLayer
from gatewright.layers.deduplication.shared import board as board_module
from gatewright.layers.deduplication.shared import follow as follow_module
from gatewright.layers.deduplication.shared import lead as lead_module
from gatewright.layers.deduplication.shared import led as led_module
from gatewright.layers.deduplication.shared import staying as staying_module
from gatewright.pipeline.call import Call, CallOptions, new_id
from gatewright.pipeline.events import CallShared, Events
from gatewright.pipeline.layer import stack
from gatewright.pipeline.reply import Reply
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.redis import RedisStore
from gatewright.types.caller import Caller
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings
from gatewright.types.usage import Usage

USAGE = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)


class Process:
    def __init__(self, url, window=2.0, text="0123456789", patience=2.0):
        self.store = RedisStore(url, patience=patience)
        self.heard = []
        events = Events()
        events.subscribe(self.heard.append, CallShared)
        config = DeduplicationConfig(window=window, shared=True)
        self.own = DeduplicationLayer(config, MONOTONIC, events)
        self.shared = SharedFlightsLayer(SharedBoard(self.store, window), self.own.key_of, events)
        self.handler = stack([self.own, self.shared], self.provider)
        self.text = text
        self.asked = 0
        self.closed = 0
        self.given = 0
        self.go = asyncio.Event()
        self.error = None

    async def provider(self, call, /):
        self.asked += 1
        if call.stream:
            return await Reply.begin(self.stream(), AnswerFold(model="m", provider="own", deployment_id="d"))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        if isinstance(call.request, EmbedRequest):
            return Reply.whole(Embeddings(vectors=[[0.6, 0.8]], model="e", provider="own", usage=USAGE, cost_usd=0.2))
        answer = Answer(choices=[Choice(text=self.text)], model="m", provider="own", usage=USAGE, cost_usd=0.5)
        return Reply.whole(answer, chunks_of)

    async def stream(self):
        done = False
        try:
            for place, letter in enumerate(self.text):
                if place == 3:
                    await self.go.wait()
                    if self.error is not None:
                        raise self.error
                self.given += 1
                yield [Chunk(text=letter)]
            yield [Chunk(finish_reason="stop", usage=USAGE)]
            done = True
        finally:
            self.closed += not done

    async def ask(self, call):
        async with await self.handler(call) as reply:
            value = await reply.value()
        return value, reply

    async def aclose(self):
        await self.shared.aclose()
        await self.store.aclose()


def call(prompt="p", stream=False, tenant="t", **more):
    request = GenerateRequest(model="m", messages=[{"role": "user", "content": prompt}])
    more = {"request": request, **more}
    return Call(id=new_id(), started_at=0.0, stream=stream, caller=Caller(tenant_id=tenant), **more)


@pytest.fixture
async def processes(redis_server):
    made = []

    async def make(number=2, **settings):
        new = [Process(redis_server.url, **settings) for _ in range(number)]
        made.extend(new)
        for one in new:
            await one.store.open()
        return new

    yield make
    for one in made:
        await one.aclose()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr(board_module, "LEASE", 0.3)
    monkeypatch.setattr(lead_module, "RENEWAL", 0.1)


async def test_one_call_is_made_and_each_process_has_its_answer(processes):
    several = await processes(4)
    for one in several:
        one.go.set()
    got = await asyncio.gather(*(one.ask(call()) for one in several for _ in range(5)))
    assert sum(one.asked for one in several) == 1
    assert {value.choices[0].text for value, _ in got} == {"0123456789"}
    assert sorted(value.cost_usd for value, _ in got) == [0.0] * 19 + [0.5]
    assert sorted(reply.cached for _, reply in got) == [False] + [True] * 19
    assert {value.usage for value, _ in got} == {USAGE}
    assert sum(len(one.heard) for one in several) == 19


async def test_vectors_too(processes):
    one, two = await processes()
    one.go.set()
    two.go.set()
    asked = call(request=EmbedRequest(model="e", inputs=["x"]))
    first, _ = await one.ask(asked)
    second, reply = await two.ask(call(request=asked.request))
    assert (first.vectors, first.cost_usd, one.asked, two.asked) == ([[0.6, 0.8]], 0.2, 1, 0)
    assert (second.vectors, second.cost_usd, reply.cached) == ([[0.6, 0.8]], 0.0, True)


async def test_within_the_window_and_not_after_it(processes):
    one, two = await processes(window=0.3)
    one.go.set()
    two.go.set()
    await one.ask(call())
    assert (await two.ask(call()))[1].cached
    await asyncio.sleep(0.7)
    assert not (await two.ask(call()))[1].cached
    assert (one.asked, two.asked) == (1, 1)


@pytest.mark.parametrize("other", [{"tenant": "u"}, {"tenant": None}, {"prompt": "q"}, {"stream": True}])
async def test_what_is_not_the_same_is_not_shared(processes, other):
    one, two = await processes()
    one.go.set()
    two.go.set()
    await one.ask(call())
    value, reply = await two.ask(call(**other))
    assert (two.asked, reply.cached, value.choices[0].text) == (1, False, "0123456789")


async def test_who_wants_a_call_of_its_own_has_it(processes):
    one, two = await processes()
    one.go.set()
    two.go.set()
    await one.ask(call())
    await two.ask(call(options=CallOptions(deduplicate=False)))
    assert two.asked == 1


async def test_a_late_joiner_reads_what_came_and_then_the_rest(processes):
    one, two = await processes()
    leading = asyncio.create_task(one.ask(call(stream=True)))
    await until(lambda: one.asked == 1)
    await asyncio.sleep(0.05)
    reply = await two.handler(call(stream=True))
    read = []
    async with reply:
        while len("".join(read)) < 3:
            read += [chunk.text for chunk in await reply.batch()]
        assert not leading.done()
        one.go.set()
        while batch := await reply.batch():
            read += [chunk.text for chunk in batch]
    assert "".join(read) == "0123456789"
    value = reply.outcome.value
    assert (value.provider, value.deployment_id, value.cost_usd, value.usage) == ("own", "d", 0.0, USAGE)
    assert (reply.cached, two.asked) == (True, 0)
    assert (await leading)[0].choices[0].text == "0123456789"


async def test_a_failure_goes_to_everyone_and_is_not_remembered(processes):
    one, two = await processes()
    one.error = RateLimited("too much", provider="own", model="m", retry_after=7.0)
    leading = asyncio.create_task(one.ask(call()))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(mine := call()))
    await asyncio.sleep(0.05)
    one.go.set()
    with pytest.raises(RateLimited):
        await leading
    with pytest.raises(RateLimited, match="too much") as raised:
        await following
    assert (raised.value.retry_after, raised.value.request_id, raised.value.retryable) == (7.0, mine.id, True)
    assert two.asked == 0
    two.go.set()
    assert (await two.ask(call()))[0].choices[0].text == "0123456789"


@pytest.mark.parametrize("error", [DeadlineExceeded("no time left"), ValueError("a fault of that process")])
async def test_what_is_the_leaders_own_affair_hands_over(processes, error):
    one, two = await processes()
    one.error = error
    leading = asyncio.create_task(one.ask(call()))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call()))
    await asyncio.sleep(0.05)
    one.go.set()
    two.go.set()
    with pytest.raises(type(error)):
        await leading
    assert (await following)[0].choices[0].text == "0123456789"
    assert two.asked == 1


async def test_who_shared_a_wait_for_a_limit_in_vain_tries_once_itself(processes):
    one, two = await processes()
    one.error = RateLimited("waited in vain", retry_after=7.0)
    one.error.asked = False
    leading = asyncio.create_task(one.ask(call()))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call()))
    await until(lambda: two.heard)
    two.go.set()
    one.go.set()
    with pytest.raises(RateLimited):
        await leading
    assert (await following)[0].choices[0].text == "0123456789"
    assert (one.asked, two.asked) == (1, 1)


async def test_what_was_refused_after_an_attempt_is_everyones(processes):
    one, two = await processes()
    one.error = RateLimited("no room for the fallback", retry_after=7.0)
    one.error.asked, one.error.attempts = False, 2
    leading = asyncio.create_task(one.ask(call()))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call()))
    await until(lambda: two.heard)
    one.go.set()
    got = await asyncio.gather(leading, following, return_exceptions=True)
    assert [(type(error), error.attempts) for error in got] == [(RateLimited, 2)] * 2
    assert two.asked == 0


@pytest.mark.parametrize("more", [30.0, None, 0.0])
async def test_what_failed_for_want_of_time_is_tried_again_by_who_has_more(processes, more):
    one, two = await processes()
    one.error = ProviderUnavailable("no retry fits")
    deadline = MONOTONIC.now() + 30.0
    leading = asyncio.create_task(one.ask(call(deadline=deadline)))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call(deadline=None if more is None else deadline + more)))
    await until(lambda: two.heard)
    two.go.set()
    one.go.set()
    with pytest.raises(ProviderUnavailable):
        await leading
    if more == 0.0:
        with pytest.raises(ProviderUnavailable):
            await following
    else:
        assert (await following)[0].choices[0].text == "0123456789"
    assert (one.asked, two.asked) == (1, int(more != 0.0))


@pytest.mark.parametrize("stream", [False, True])
async def test_the_window_is_one_for_all_processes(processes, stream):
    one, two = await processes(window=1.0)
    one.go.set()
    two.go.set()
    began = MONOTONIC.now()
    await one.ask(call(stream=stream))
    await asyncio.sleep(0.6)
    _, reply = await two.ask(call(stream=stream))
    (landed,) = two.own._flights
    assert reply.cached
    assert landed.until < began + 1.5


@pytest.mark.parametrize("fault", ["pause", "connection"])
async def test_a_lead_of_which_redis_could_not_tell_is_ended(processes, redis_server, fault):
    one, two = await processes(patience=0.09)
    if fault == "pause":
        redis_server.pause()
    joined = asyncio.create_task(one.shared._board.join("t:flight", "mine"))
    await asyncio.sleep(0)
    if fault == "connection":
        one.store._connection.end(StoreUnavailable("cut"))
    assert await joined is None
    redis_server.go_on() if fault == "pause" else None
    await until(lambda: one.store.status().state == "healthy" and two.store.status().state == "healthy")
    await until(lambda: redis_server.ask("KEYS *flight*") == b"*0\r\n")
    assert await two.shared._board.join("t:flight", "other") == ("other", 0.0)


async def test_who_leaves_while_it_joins_leaves_no_lead(processes):
    one, two = await processes()
    joining = asyncio.create_task(one.shared._board.join("t:flight", "mine"))
    await asyncio.sleep(0)
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    await one.store.ask(b"PING")  # comes after all that it was asked before
    assert await two.shared._board.join("t:flight", "other") == ("other", 0.0)


async def test_who_follows_one_that_leaves_while_it_joins_asks_anew(processes):
    one, two = await processes()
    joining = asyncio.create_task(one.ask(call()))
    await asyncio.sleep(0)
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    two.go.set()
    async with asyncio.timeout(3):  # a lease is longer
        assert (await two.ask(call()))[0].choices[0].text == "0123456789"
    assert (one.asked, two.asked) == (0, 1)


async def test_a_leader_that_is_cancelled_hands_over(processes):
    one, two = await processes()
    leading = asyncio.create_task(one.ask(call()))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call()))
    await asyncio.sleep(0.05)
    leading.cancel()
    two.go.set()
    assert (await following)[0].choices[0].text == "0123456789"
    assert two.asked == 1


async def test_a_stream_goes_on_for_those_who_follow_when_its_reader_leaves(processes):
    one, two = await processes()
    led = await one.handler(call(stream=True))
    following = asyncio.create_task(two.ask(call(stream=True)))
    await until(lambda: two.heard)
    await asyncio.sleep(0.1)
    await led.aclose()
    assert not following.done()
    one.go.set()
    assert (await following)[0].choices[0].text == "0123456789"
    assert (one.asked, one.closed, two.asked) == (1, 0, 0)


async def test_a_stream_that_nobody_follows_ends_with_its_reader(processes):
    (one,) = await processes(1)
    led = await one.handler(call(stream=True))
    await led.batch()
    await led.aclose()
    assert one.closed == 1


async def test_a_stream_ends_when_the_last_who_followed_leaves_too(processes, short_lease, monkeypatch):
    monkeypatch.setattr(board_module, "FOLLOWING", 0.2)
    one, two = await processes()
    led = await one.handler(call(stream=True))
    followed = await two.handler(call(stream=True))
    await followed.batch()
    await led.aclose()
    await asyncio.sleep(0.05)
    assert one.closed == 0
    await followed.aclose()
    await until(lambda: one.closed == 1)
    assert two.asked == 0


LONG = "0123456789" * 30


async def test_a_leader_that_reads_slowly_holds_up_nobody_who_follows(processes):
    one, two = await processes(text=LONG)
    async with await one.handler(call(stream=True)) as led, asyncio.timeout(10):
        one.go.set()
        await until(lambda: one.given > led_module.AHEAD)
        assert (await two.ask(call(stream=True)))[0].choices[0].text == LONG
        assert (await led.value()).choices[0].text == LONG
    assert (one.asked, two.asked) == (1, 0)


async def test_a_leader_that_reads_slowly_holds_no_more_than_it_may(processes, monkeypatch):
    monkeypatch.setattr(led_module, "MOST_HELD", 100)
    one, two = await processes(text=LONG)
    async with await one.handler(call(stream=True)) as led, asyncio.timeout(10):
        one.go.set()
        following = asyncio.create_task(two.ask(call(stream=True)))
        await until(lambda: one.given >= 100)
        await asyncio.sleep(2 * led_module.LOOK)
        assert one.given < 110
        assert (await led.value()).choices[0].text == LONG
        assert (await following)[0].choices[0].text == LONG


async def test_a_stream_that_nobody_follows_is_read_at_its_readers_pace(processes):
    (one,) = await processes(1, text=LONG)
    async with await one.handler(call(stream=True)):
        one.go.set()
        await until(lambda: one.given > led_module.AHEAD)
        await asyncio.sleep(2 * led_module.LOOK)
        assert one.given < led_module.AHEAD + 10


@pytest.fixture
def short_following(monkeypatch, short_lease):
    monkeypatch.setattr(board_module, "FOLLOWING", 0.2)
    monkeypatch.setattr(board_module, "READ_ON", 0.2)
    monkeypatch.setattr(staying_module, "AGAIN", 0.05)


@pytest.mark.parametrize("who_leads", ["ends", "leaves"])
async def test_who_follows_a_stream_has_all_of_it_however_slowly_it_reads(
    processes, redis_server, short_following, who_leads
):
    one, two = await processes(window=0.1, text=LONG)
    led = await one.handler(call(stream=True))
    async with await two.handler(call(stream=True)) as followed:
        read = [chunk.text for chunk in await followed.batch()]
        if who_leads == "leaves":
            await led.aclose()
            await asyncio.sleep(0.6)
        one.go.set()
        if who_leads == "ends":
            assert (await led.value()).choices[0].text == LONG
        await asyncio.sleep(0.6)
        while batch := await followed.batch():
            read += [chunk.text for chunk in batch]
    assert "".join(read) == LONG
    assert (one.asked, one.closed, two.asked) == (1, 0, 0)
    async with asyncio.timeout(10):
        while redis_server.ask("DBSIZE") != b":0\r\n":
            await asyncio.sleep(0.05)


async def test_who_still_reads_one_stream_does_not_keep_the_next(processes, short_following):
    one, two = await processes(window=0.1)
    one.go.set()
    led = await one.handler(call(stream=True))
    async with await two.handler(call(stream=True)):
        await led.value()
        await asyncio.sleep(0.5)
        one.go.clear()
        again = await one.handler(call(stream=True))
        await again.batch()
        await asyncio.sleep(0.3)
        await again.aclose()
        assert (one.asked, one.closed) == (2, 1)


async def test_what_redis_lost_of_a_stream_leaves_no_hole(processes, redis_server, short_lease):
    one, two = await processes()
    leading = asyncio.create_task(one.ask(call(stream=True)))
    await until(lambda: one.asked == 1)
    followed = await two.handler(call(stream=True))
    read = [chunk.text for chunk in await followed.batch()]
    (parts,) = [key for key in redis_server.ask("KEYS", "*req_*").decode().split("\r\n") if "req_" in key]
    redis_server.ask("DEL", parts)
    one.go.set()
    two.go.set()
    while batch := await followed.batch():
        read += [chunk.text for chunk in batch]
    assert "".join(read) == "0123456789"
    assert two.asked == 1
    assert (await leading)[0].choices[0].text == "0123456789"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_process_that_is_closed_hands_over_at_once(processes, stream):
    one, two = await processes()
    leading = asyncio.create_task(one.ask(call(stream=stream)))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call(stream=stream)))
    await until(lambda: two.heard)
    await asyncio.sleep(0.05)
    await one.shared.aclose()
    two.go.set()
    async with asyncio.timeout(2):
        assert (await following)[0].choices[0].text == "0123456789"
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)


async def test_what_has_just_landed_is_told_before_it_is_closed(processes):
    one, two = await processes()
    one.go.set()
    await one.ask(call())
    await one.aclose()
    assert (await two.ask(call()))[1].cached
    assert two.asked == 0


async def lost(process):
    """Have a process be gone, as far as the others can see: it tells nothing any more."""
    for lead in list(process.shared._leads):
        lead.task.cancel()
    await process.store.aclose()


async def test_a_dead_leader_loses_its_lease_to_a_follower(processes, short_lease):
    one, two, three = await processes(3)
    leading = asyncio.create_task(one.ask(call()))
    await until(lambda: one.asked == 1)
    following = [asyncio.create_task(other.ask(call())) for other in (two, three)]
    await asyncio.sleep(0.05)
    await lost(one)
    two.go.set()
    three.go.set()
    async with asyncio.timeout(5):
        got = await asyncio.gather(*following)
    assert [value.choices[0].text for value, _ in got] == ["0123456789"] * 2
    assert two.asked + three.asked == 1
    leading.cancel()


async def test_a_leader_that_lives_keeps_its_lease(processes, short_lease):
    one, two = await processes()
    leading = asyncio.create_task(one.ask(call()))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call()))
    await asyncio.sleep(1.0)
    one.go.set()
    await asyncio.gather(leading, following)
    assert (one.asked, two.asked) == (1, 0)


@pytest.mark.parametrize("text", ["0123456789", "0124"])
async def test_a_stream_whose_leader_dies_goes_on_where_it_stood_if_the_answer_is_the_same(
    processes, short_lease, text
):
    one, two = await processes()
    leading = asyncio.create_task(one.ask(call(stream=True)))
    await until(lambda: one.asked == 1)
    two.text = text
    two.go.set()
    reply = await two.handler(call(stream=True))
    read = []
    async with reply:
        while len("".join(read)) < 3:
            read += [chunk.text for chunk in await reply.batch()]
        await lost(one)
        if text == "0124":
            two.text = "01x"
            with pytest.raises(StreamInterrupted, match="another answer") as raised:
                while batch := await reply.batch():
                    read += [chunk.text for chunk in batch]
            assert raised.value.text == "012"
        else:
            while batch := await reply.batch():
                read += [chunk.text for chunk in batch]
            assert "".join(read) == "0123456789"
    assert two.asked == 1
    leading.cancel()


async def test_a_stream_that_cannot_be_taken_over_ends_with_the_text_so_far(processes, short_lease):
    one, two = await processes()
    leading = asyncio.create_task(one.ask(call(stream=True)))
    await until(lambda: one.asked == 1)
    two.error = ProviderUnavailable("down as well")
    two.go.set()
    async with await two.handler(call(stream=True)) as reply:
        read = ""
        while len(read) < 3:
            read += "".join(chunk.text for chunk in await reply.batch())
        await lost(one)
        with pytest.raises(StreamInterrupted, match="down as well") as raised:
            while await reply.batch():
                pass
    assert (read, raised.value.text, raised.value.upstream_code) == ("012", "012", two.error.code)
    leading.cancel()


async def test_without_redis_each_process_makes_its_own_call(processes, redis_server):
    one, two = await processes(patience=0.09)
    one.go.set()
    two.go.set()
    redis_server.kill()
    async with asyncio.timeout(5):
        got = await asyncio.gather(*(process.ask(call()) for process in (one, two) for _ in range(3)))
    assert (one.asked, two.asked) == (1, 1)
    assert {value.choices[0].text for value, _ in got} == {"0123456789"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_redis_goes_while_one_follows(processes, redis_server, stream, fault):
    one, two = await processes(patience=0.09)
    leading = asyncio.create_task(one.ask(call(stream=stream)))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call(stream=stream)))
    await until(lambda: two.heard)
    await asyncio.sleep(0.05)
    getattr(redis_server, fault)()
    one.go.set()
    two.go.set()
    async with asyncio.timeout(5):
        got = await asyncio.gather(leading, following)
    assert [value.choices[0].text for value, _ in got] == ["0123456789"] * 2
    redis_server.go_on() if fault == "pause" else None


@pytest.mark.parametrize("fault", ["pause", "connections"])
async def test_a_short_hiccup_of_redis_ends_no_stream(processes, redis_server, fault):
    one, two = await processes(patience=0.09, text=LONG)
    leading = asyncio.create_task(one.ask(call(stream=True)))
    await until(lambda: one.asked == 1)
    async with await two.handler(call(stream=True)) as followed, asyncio.timeout(10):
        read = [chunk.text for chunk in await followed.batch()]
        redis_server.pause() if fault == "pause" else redis_server.ask("CLIENT", "KILL", "TYPE", "normal")
        one.go.set()
        await until(lambda: one.store.status().outages)
        redis_server.go_on() if fault == "pause" else None
        assert (await leading)[0].choices[0].text == LONG
        while batch := await followed.batch():
            read += [chunk.text for chunk in batch]
    assert "".join(read) == LONG
    assert two.asked == 0


async def test_a_leader_whose_caller_leaves_while_redis_is_away_goes_on_for_those_who_followed(processes, redis_server):
    one, two = await processes(patience=0.09, text=LONG)
    led = await one.handler(call(stream=True))
    async with await two.handler(call(stream=True)) as followed, asyncio.timeout(10):
        read = [chunk.text for chunk in await followed.batch()]
        await until(lambda: next(iter(one.shared._leads)).was_followed)
        redis_server.pause()
        await led.aclose()
        assert one.store.is_degraded
        redis_server.go_on()
        one.go.set()
        while batch := await followed.batch():
            read += [chunk.text for chunk in batch]
    assert "".join(read) == LONG
    assert (one.closed, two.asked) == (0, 0)


@pytest.mark.parametrize(("fault", "said"), [("flush", "Redis has lost"), ("kill", "Redis went away")])
async def test_a_stream_that_redis_lost_says_so(processes, redis_server, monkeypatch, fault, said):
    monkeypatch.setattr(follow_module, "AWAY", 0.3)
    one, two = await processes(patience=0.09)
    leading = asyncio.create_task(one.ask(call(stream=True)))
    await until(lambda: one.asked == 1)
    two.text = "another"
    two.go.set()
    async with await two.handler(call(stream=True)) as followed, asyncio.timeout(10):
        redis_server.kill() if fault == "kill" else redis_server.ask("FLUSHALL")
        with pytest.raises(StreamInterrupted, match=said):
            while await followed.batch():
                pass
    one.go.set()
    assert (await leading)[0].choices[0].text == "0123456789"


async def test_a_flush_makes_a_follower_ask_itself(processes, redis_server):
    one, two = await processes()
    leading = asyncio.create_task(one.ask(call()))
    await until(lambda: one.asked == 1)
    following = asyncio.create_task(two.ask(call()))
    await until(lambda: two.heard)
    redis_server.ask("FLUSHALL")
    one.go.set()
    two.go.set()
    async with asyncio.timeout(5):
        got = await asyncio.gather(leading, following)
    assert [value.choices[0].text for value, _ in got] == ["0123456789"] * 2


async def test_nothing_is_left_in_redis(processes, redis_server):
    one, two = await processes(window=0.2)
    one.go.set()
    two.go.set()
    await asyncio.gather(*(one.ask(call(f"{n}", stream=n % 2 == 0)) for n in range(10)))
    one.error = BadRequest("no")
    with pytest.raises(BadRequest):
        await one.ask(call("bad"))
    async with asyncio.timeout(10):
        while redis_server.ask("DBSIZE") != b":0\r\n":
            await asyncio.sleep(0.2)
