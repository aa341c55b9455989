"""A process that leads a shared flight is killed: who follows in another process does not fail, nor wait for long."""

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gatewright import create_gateway
from gatewright.layers.deduplication.shared.board import LEASE as FLIGHT_LEASE
from gatewright.layers.rate_limiter.leases import LEASE


@pytest.mark.parametrize(
    ("how", "fault"), [("whole", signal.SIGKILL), ("stream", signal.SIGKILL), ("whole", signal.SIGSTOP)]
)
async def test_a_leader_that_dies(redis_server, how, fault):
    program = Path(__file__).with_name("flight_leader.py")
    leader = await asyncio.create_subprocess_exec(
        sys.executable, str(program), redis_server.url, how, stdout=asyncio.subprocess.PIPE
    )
    async with create_gateway(
        providers=["simulator"],
        default_model="simulator/m",
        redis_url=redis_server.url,
        deduplication={"shared": True},
        simulator={"text": "one two three four"},
    ) as gateway:

        async def follow():
            if how == "whole":
                return (await gateway.generate_async("same")).text
            return "".join([text async for text in gateway.generate_stream("same")])

        try:
            assert await leader.stdout.readline() == b"leads\n"
            following = asyncio.create_task(follow())
            await asyncio.sleep(0.3)
            assert not following.done()
            leader.send_signal(fault)
            async with asyncio.timeout(FLIGHT_LEASE + 10):
                assert await following == "one two three four"
        finally:
            with suppress(ProcessLookupError):
                leader.kill()
            await leader.wait()


async def test_a_leader_that_is_closed_gives_its_place_to_who_takes_over(redis_server):
    """Its stream goes on until it is closed, for the other process alone; its place is the only one that there is."""
    settings = {
        "providers": ["simulator"],
        "default_model": "simulator/m",
        "redis_url": redis_server.url,
        "deduplication": {"shared": True},
        "rate_limit": {"max_concurrent": 1},
        "simulator": {"latency": 0, "tokens_per_second": 5, "text": "one two three four five six seven eight"},
        "close_timeout": 0.0,
    }
    async with create_gateway(**settings) as leader, create_gateway(**settings) as follower:
        leading = leader.generate_stream("same")
        await anext(leading)
        following = follower.generate_stream("same")
        text = await anext(following)
        await leader.aclose()
        async with asyncio.timeout(LEASE):
            async for piece in following:
                text += piece
        assert text == "one two three four five six seven eight"
