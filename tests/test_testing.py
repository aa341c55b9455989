from __future__ import annotations

import asyncio

import pytest

from gatewright.errors import ConnectionFailed, RateLimited
from gatewright.pipeline.call import Call
from gatewright.testing import FakeClock, ScriptedProvider, ScriptExhausted
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings

CALL = Call(request=GenerateRequest(model="m"), id="req_1", started_at=1.0)
STREAM = CALL.replace(stream=True)


class TestScriptedProvider:
    async def test_answers_in_turn_and_keeps_the_calls(self) -> None:
        whole = Answer(choices=[Choice(text="two")], model="m", provider="p")
        provider = ScriptedProvider(["one", whole, RateLimited("slow down")])
        async with await provider(CALL) as reply:
            assert (await reply.value()).choices[0].text == "one"
        async with await provider(STREAM) as reply:
            assert [chunk.text async for chunk in reply] == ["two"]
        with pytest.raises(RateLimited):
            await provider(CALL)
        assert provider.calls == [CALL, STREAM, CALL]

    async def test_a_script_that_ends_says_so(self) -> None:
        with pytest.raises(ScriptExhausted, match="0 answers; call number 1 was req_1"):
            await ScriptedProvider([])(CALL)

    async def test_streams_break_where_the_script_says(self) -> None:
        provider = ScriptedProvider([["a", Chunk(text="b"), ConnectionFailed("broken")], [ConnectionFailed("at once")]])
        reply = await provider(STREAM)
        with pytest.raises(ConnectionFailed, match="broken"):
            await reply.value()
        assert reply.partial().choices[0].text == "ab"
        with pytest.raises(ConnectionFailed, match="at once"):
            await provider(STREAM)
        assert provider.open_streams == 0

    async def test_a_whole_call_gets_the_streams_sum(self) -> None:
        reply = await ScriptedProvider([["a", "b"]])(CALL)
        assert reply.is_whole
        assert (await reply.value()).choices[0].text == "ab"

    async def test_open_streams_are_counted(self) -> None:
        provider = ScriptedProvider([["a", "b"]])
        async with await provider(STREAM):
            assert provider.open_streams == 1
        assert provider.open_streams == 0

    async def test_embeddings(self) -> None:
        vectors = Embeddings(vectors=[[1.0]], model="e", provider="p")
        provider = ScriptedProvider([vectors])
        reply = await provider(CALL.replace(request=EmbedRequest(model="e", inputs=["a"])))
        assert await reply.value() is vectors

    async def test_delay_and_gate(self) -> None:
        clock, gate = FakeClock(), asyncio.Event()
        provider = ScriptedProvider(["one"], delay=2.0, clock=clock, gate=gate)
        provider.extend("two")
        task = asyncio.create_task(provider(CALL))
        await clock.advance(1.9)
        assert clock.sleepers == 1
        await clock.advance(0.1)
        assert not task.done()
        gate.set()
        assert (await (await task).value()).choices[0].text == "one"
        await provider.aclose()
        assert provider.closed


class TestFakeClock:
    async def test_sleepers_wake_in_the_order_of_their_times(self) -> None:
        clock, woken = FakeClock(100.0), list[tuple[str, float]]()

        async def sleeps(name: str, *seconds: float) -> None:
            for each in seconds:
                await clock.sleep(each)
                woken.append((name, clock.now()))

        async with asyncio.TaskGroup() as group:
            group.create_task(sleeps("a", 3.0))
            group.create_task(sleeps("b", 1.0, 1.0, 5.0))
            group.create_task(sleeps("c", 0.0))
            await clock.advance(4.0)
            assert woken == [("c", 100.0), ("b", 101.0), ("b", 102.0), ("a", 103.0)]
            assert clock.now() == 104.0
            await clock.advance(3.0)
        assert woken[-1] == ("b", 107.0)

    async def test_a_cancelled_sleeper_is_forgotten(self) -> None:
        clock = FakeClock()
        task = asyncio.create_task(clock.sleep(1.0))
        await asyncio.sleep(0)
        task.cancel()
        await clock.advance(2.0)
        assert task.cancelled()
        assert clock.sleepers == 0
