"""A process that leads a shared flight is killed: who follows in another process does not fail, nor wait for long."""

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gatewright import create_gateway
from gatewright.layers.deduplication.shared.board import LEASE


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
            async with asyncio.timeout(LEASE + 10):
                assert await following == "one two three four"
        finally:
            with suppress(ProcessLookupError):
                leader.kill()
            await leader.wait()
