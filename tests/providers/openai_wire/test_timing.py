"""Each phase has its limit, each cancellation reaches the upstream, each connection is used again."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gatewright.errors import ConnectionFailed, DeadlineExceeded, ProviderTimeout
from gatewright.layers.deadline import DeadlineLayer
from gatewright.pipeline.layer import stack
from gatewright.pipeline.reply import Reply
from gatewright.providers.http.aiohttp_client import AiohttpClient
from gatewright.providers.http.base import Timeouts
from providers.openai_wire.lane import Lane, call
from providers.upstream import CLOSE, HANG, chunk, completion, head, reply, sse

SHORT = 0.1
SILENCE = [HANG]
HALF = [head(content_type="application/json", content_length="1000") + b"{", HANG]


def dripping(text: str = " ", pause: float = 0.04) -> list[Any]:
    """Give an answer that never stops coming."""
    drops = [part for _ in range(500) for part in (b"1\r\n%b\r\n" % text.encode(), pause)]
    return [head(content_type="application/json", transfer_encoding="chunked"), *drops]


@pytest.mark.parametrize(
    ("script", "timeouts", "said"),
    [
        (SILENCE, Timeouts(first_byte=SHORT), "head"),
        (SILENCE, Timeouts(total=SHORT), "head"),
        (HALF, Timeouts(chunk=SHORT), "rest"),
        (HALF, Timeouts(chunk=None, total=SHORT), "rest"),
        (dripping(), Timeouts(chunk=10, total=4 * SHORT), "rest"),
    ],
)
async def test_a_whole_answer_that_is_too_slow(lane: Lane, script: Any, timeouts: Timeouts, said: str):
    lane.upstream.play(script)
    with pytest.raises(ProviderTimeout, match=said) as caught:
        await lane.generate(timeouts=timeouts)
    assert caught.value.retryable
    await asyncio.wait_for(lane.upstream.gone.wait(), 2)


@pytest.mark.parametrize(
    ("script", "timeouts"),
    [
        (sse(HANG), Timeouts(chunk=SHORT)),
        (sse(chunk("x"), HANG), Timeouts(chunk=SHORT)),
        (sse(chunk("x"), HANG), Timeouts(chunk=None, total=SHORT)),
        (sse(*[part for _ in range(500) for part in (chunk("x"), 0.04)]), Timeouts(chunk=10, total=4 * SHORT)),
    ],
)
async def test_a_stream_that_is_too_slow(lane: Lane, script: Any, timeouts: Timeouts):
    lane.upstream.play(script)
    with pytest.raises(ProviderTimeout):
        await lane.generate(stream=True, timeouts=timeouts)
    await asyncio.wait_for(lane.upstream.gone.wait(), 2)


async def test_a_deployments_timeout_is_the_whole_of_an_attempt(lane: Lane):
    lane.upstream.play(SILENCE)
    with pytest.raises(ProviderTimeout):
        await lane.generate(timeout=SHORT)


async def test_a_slow_answer_whose_pieces_come_in_time_is_read(lane: Lane):
    """Providers send blanks to keep a long wait alive; each of them is a sign of life."""
    body = b'{"choices":[{"message":{"content":"hello"}}]}'
    blanks = [part for _ in range(8) for part in (b"1\r\n \r\n", 0.2)]
    start = head(content_type="application/json", transfer_encoding="chunked")
    lane.upstream.play([start, *blanks, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)])
    assert (await lane.generate(timeouts=Timeouts(chunk=1.0))).choices[0].text == "hello"


async def test_nobody_listens(lane: Lane):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ConnectionFailed, match=r"cannot connect to 127\.0\.0\.1") as caught:
            await lane.generate(base_url=url)
    assert caught.value.retryable


async def test_a_name_that_does_not_exist(lane: Lane):
    with pytest.raises(ConnectionFailed, match="does-not-exist"):
        await lane.generate(base_url="http://does-not-exist.invalid/v1")


async def test_connecting_takes_too_long(lane: Lane):
    """A listener that accepts nobody: its queue is full, so the next one waits."""
    client = AiohttpClient(connect_timeout=SHORT)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting: list[socket.socket] = []
    try:
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        with pytest.raises(ProviderTimeout, match="connecting"):
            await Lane(lane.upstream, client).generate(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
    finally:
        for one in (listener, *waiting):
            one.close()
        await client.aclose()


# --- the deadline ---


async def ask(lane: Lane, seconds: float, **more: Any) -> Reply[Any, Any]:
    handle = stack([DeadlineLayer()], lane.provider())
    now = asyncio.get_running_loop().time()
    return await handle(call(**more).replace(started_at=now, deadline=now + seconds))


@pytest.mark.parametrize("script", [SILENCE, HALF, dripping(), sse(HANG)])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_deadline_ends_the_wait_and_the_request(lane: Lane, script: Any, stream: bool):
    lane.upstream.play(script)
    with pytest.raises(DeadlineExceeded, match=r"0\.1 s"):
        await ask(lane, SHORT, stream=stream)
    await asyncio.wait_for(lane.upstream.gone.wait(), 2)


async def test_the_deadline_ends_a_stream_that_is_being_read(lane: Lane):
    lane.upstream.play(sse(chunk("hel"), HANG))
    stream = await ask(lane, 2 * SHORT, stream=True)
    with pytest.raises(DeadlineExceeded):
        await stream.value()
    await asyncio.wait_for(lane.upstream.gone.wait(), 2)


async def test_the_deadline_ends_a_stream_that_nobody_reads(lane: Lane):
    lane.upstream.play(sse(chunk("hel"), HANG))
    stream = await ask(lane, SHORT, stream=True)
    await asyncio.sleep(2 * SHORT)
    with pytest.raises(DeadlineExceeded):
        await stream.batch()
    await asyncio.wait_for(lane.upstream.gone.wait(), 2)


# --- cancellation ---


@pytest.mark.parametrize("script", [SILENCE, HALF, sse(HANG)])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_call_ends_its_request(lane: Lane, script: Any, stream: bool):
    lane.upstream.play(script)
    task = asyncio.create_task(lane.generate(stream=stream))
    await lane.upstream.came.wait()
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(lane.upstream.gone.wait(), 2)


async def test_a_stream_that_is_closed_early_ends_its_request(lane: Lane):
    lane.upstream.play(sse(chunk("hel"), HANG))
    stream = await lane.provider()(call(stream=True))
    assert (await stream.batch())[0].text == "hel"
    await stream.aclose()
    await asyncio.wait_for(lane.upstream.gone.wait(), 2)


# --- connections ---


async def test_whole_answers_share_a_connection(lane: Lane):
    for _ in range(5):
        await lane.generate()
    assert lane.upstream.connections == 1


@pytest.mark.parametrize(
    "script",
    [
        reply({"error": {"message": "no"}}, 429),
        reply(b"<html>", 502),
        reply(b"{garbage"),
        reply({}),
        sse(chunk("x", finish="stop"), "[DONE]"),
        sse(chunk("x", finish="stop"), "[DONE]", 0.02),
        sse(chunk("x", finish="stop")),
        reply(completion(), compress=True),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_is_used_again_after_an_answer_of_any_kind(lane: Lane, script: Any, stream: bool):
    lane.upstream.play(script)
    for _ in range(4):
        await asyncio.gather(lane.generate(stream=stream), return_exceptions=True)
    assert len(lane.upstream.asked) == 4
    assert lane.upstream.connections == 1


async def test_a_connection_whose_stream_has_no_end_is_given_up(lane: Lane):
    done = [chunk("x", finish="stop"), "[DONE]", HANG]
    lane.upstream.play(sse(*done), reply(completion()))
    assert (await lane.generate(stream=True)).choices[0].text == "x"
    assert (await lane.generate()).choices[0].text == "hello"
    assert lane.upstream.connections == 2


async def test_many_first_uses_at_once_share_one_session(lane: Lane):
    answers = await asyncio.gather(*[lane.generate() for _ in range(20)])
    assert len(answers) == 20
    before = lane.upstream.connections
    await asyncio.gather(*[lane.generate() for _ in range(20)])
    assert lane.upstream.connections == before


async def test_an_idle_connection_that_the_upstream_closed_is_not_used(lane: Lane):
    lane.upstream.play([*reply(completion()), CLOSE])
    for _ in range(3):
        assert (await lane.generate()).choices[0].text == "hello"
        await asyncio.sleep(0.02)
    assert lane.upstream.connections == 3


async def test_a_client_that_was_closed_opens_again(lane: Lane):
    await lane.generate()
    await lane.http.aclose()
    await lane.generate()
    assert lane.upstream.connections == 2
