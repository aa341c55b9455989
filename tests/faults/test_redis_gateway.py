"""A gateway under load whose Redis is paused, killed or flushed: nobody fails or hangs, and the health says so."""

import asyncio
import time

import pytest

from gatewright import GatewayConfig, LiteLLMGateway, create_gateway
from gatewright.errors import ProviderUnavailable, RateLimited
from gatewright.pipeline.reply import Reply
from gatewright.types.results import Answer, Choice

LIMIT = {"requests_per_minute": 6000, "burst_size": 100, "queue_timeout": 2.0}


class Load:
    """Calls at a steady rate; how long each took, and what failed."""

    def __init__(self, gateway, per_second=100):
        self.gateway, self.pause = gateway, 1 / per_second
        self.took, self.failed, self.calls = [], [], set()
        self.task = asyncio.create_task(self._run())

    async def _run(self):
        for number in range(100_000):
            call = asyncio.create_task(self._call(number))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)
            await asyncio.sleep(self.pause)

    async def _call(self, number):
        began = time.monotonic()
        try:
            await self.gateway.generate_async(f"{number}", tenant_id=f"t{number % 3}")
        except Exception as error:
            self.failed.append(error)
        self.took.append(time.monotonic() - began)

    async def end(self):
        self.task.cancel()
        await asyncio.gather(*self.calls)


async def redis_is(gateway, status):
    async with asyncio.timeout(5):
        while (await gateway.get_health())["stores"]["redis"]["status"] != status:
            await asyncio.sleep(0.05)


def gateway_on(server, **settings):
    return create_gateway(
        providers=["simulator"],
        default_model="simulator/m",
        redis_url=server.url,
        simulator={"output_tokens": 2},
        deduplication={"shared": True},
        **settings,
    )


@pytest.mark.parametrize("fault", ["pause", "kill", "flush"])
async def test_a_fault_under_load(redis_server, fault):
    async with gateway_on(redis_server, rate_limit=LIMIT) as gateway:
        load = Load(gateway)
        await asyncio.sleep(1.0)
        await redis_is(gateway, "healthy")
        before = len(load.took)
        assert before > 30
        if fault == "flush":
            redis_server.ask("FLUSHALL")
        else:
            getattr(redis_server, fault)()
            await redis_is(gateway, "unhealthy")
            assert (await gateway.get_health())["status"] == "degraded"
            await asyncio.sleep(1.0)
            redis_server.go_on() if fault == "pause" else redis_server.start()
            await redis_is(gateway, "healthy")
        await asyncio.sleep(1.0)
        await load.end()
        assert load.failed == []
        assert len(load.took) > before + 50
        assert max(load.took) < 1.0
        assert gateway.queue_status().length == 0


async def test_two_gateways_hold_one_limit_again_after_the_fault(redis_server):
    limit = {"requests_per_minute": 600, "burst_size": 5, "enable_queuing": False}
    async with gateway_on(redis_server, rate_limit=limit) as one, gateway_on(redis_server, rate_limit=limit) as two:

        async def admitted(seconds):
            until, count = time.monotonic() + seconds, 0
            while time.monotonic() < until:
                for gateway in (one, two):
                    try:
                        await gateway.generate_async(f"{time.monotonic()}")
                        count += 1
                    except RateLimited:
                        await asyncio.sleep(0.005)
            return count

        await admitted(1.0)
        assert await admitted(3.0) <= 30 + 5
        redis_server.kill()
        without = await admitted(2.0)
        assert 10 <= without <= 2 * (20 + 5)
        redis_server.start()
        for gateway in (one, two):
            await redis_is(gateway, "healthy")
        assert 15 <= await admitted(3.0) <= 30 + 5


class Upstream:
    """Answers at once, unless it is down."""

    def __init__(self):
        self.down = False

    async def __call__(self, call, /):
        if self.down:
            raise ProviderUnavailable("down")
        return Reply.whole(Answer(choices=[Choice(text="well")], model="m", provider="own"))

    async def aclose(self):
        pass


def gateway_with_fallback(server, upstream):
    config = GatewayConfig(
        model_list=[
            {"model_name": "main", "litellm_params": {"model": "own/m"}},
            {"model_name": "spare", "litellm_params": {"model": "simulator/m"}},
        ],
        default_model="main",
        fallbacks={"main": ["spare"]},
        max_retries=0,
        circuit_breaker={"failure_threshold": 2, "success_threshold": 4, "timeout": 0.5, "jitter": 0},
        deduplication={"enabled": False},
        redis_url=server.url,
    )
    return LiteLLMGateway(config, providers={"own": lambda _: upstream})


async def test_few_calls_in_several_processes_bring_a_deployment_back(redis_server):
    upstream = Upstream()
    gateways = [gateway_with_fallback(redis_server, upstream) for _ in range(2)]

    def states():
        return [
            one.state for gateway in gateways for one in gateway.circuit_breakers() if one.deployment_id == "main#0"
        ]

    async def asks_main(gateway):
        return (await gateway.generate_async("Hello")).text == "well"

    async with gateways[0], gateways[1]:
        for gateway in gateways:
            assert await asks_main(gateway)
            await redis_is(gateway, "healthy")
        upstream.down = True
        for _ in range(2):
            assert not await asks_main(gateways[0])
        async with asyncio.timeout(2.0):
            while states() != ["open", "open"]:
                await asyncio.sleep(0.05)
        upstream.down = False
        await asyncio.sleep(0.6)
        # Not one of them goes elsewhere, and those of both count.
        for _ in range(2):
            assert [await asks_main(gateway) for gateway in gateways] == [True, True]
            await asyncio.sleep(0.1)
        async with asyncio.timeout(2.0):
            while states() != ["closed", "closed"]:
                await asyncio.sleep(0.05)
