"""Two gateways on one real Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.sharing import check_sharing
from gatewright.errors import ConfigurationError, RateLimited
from gatewright.testing import ScriptedProvider


def gateway(url: str, **settings: Any) -> LiteLLMGateway:
    config = GatewayConfig(providers=["scripted"], default_model="scripted/any", redis_url=url, **settings)
    provider = ScriptedProvider(["x"] * 200)
    return LiteLLMGateway(config, providers={"scripted": lambda _: provider})


async def test_a_limit_is_one_for_both_and_the_health_knows_the_store(redis_server: Any) -> None:
    redis_url = redis_server.url
    limit = {"requests_per_minute": 6, "burst_size": 6, "enable_queuing": False}
    async with gateway(redis_url, rate_limit=limit) as one, gateway(redis_url, rate_limit=limit) as two:
        await one.generate_async("warm up")
        await asyncio.sleep(0.2)
        outcomes = [
            await asyncio.gather(side.generate_async(f"{number}"), return_exceptions=True)
            for number in range(6)
            for side in (one, two)
        ]
        admitted = sum(not isinstance(result, BaseException) for (result,) in outcomes)
        refused = [result for (result,) in outcomes if isinstance(result, BaseException)]
        assert admitted in (5, 6)
        assert all(isinstance(error, RateLimited) for error in refused)
        assert (await one.get_health())["stores"]["redis"]["status"] == "healthy"


async def test_without_its_redis_a_gateway_answers_by_its_own_limits() -> None:
    async with gateway("redis://127.0.0.1:1/0", rate_limit={"requests_per_minute": 60}) as alone:
        async with asyncio.timeout(5):
            assert (await alone.generate_async("Hello")).text == "x"
            assert (await alone.get_health())["stores"]["redis"]["status"] == "unhealthy"


def test_a_wrong_url_is_a_configuration_error_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match="redis_url"):
        gateway("ftp://nowhere")


@pytest.mark.parametrize(
    "limits",
    [
        {"rate_limit": {"requests_per_minute": 5}},
        {"tenant_rate_limits": {"*": {"requests_per_minute": 5}}},
        {"model_list": [{"model_name": "m", "litellm_params": {"model": "simulator/a"}, "rpm": 5}]},
    ],
)
def test_several_workers_with_limits_need_a_redis(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="redis_url"):
        check_sharing(GatewayConfig(**limits))
    check_sharing(GatewayConfig(**limits, redis_url="redis://127.0.0.1:6379/0"))
    check_sharing(GatewayConfig(providers=["simulator"]))


SHARED = {"deduplication": {"shared": True, "window": 5.0}}


async def test_identical_calls_and_streams_of_both_are_one(redis_server: Any) -> None:
    async with gateway(redis_server.url, **SHARED) as one, gateway(redis_server.url, **SHARED) as two:
        answers = await asyncio.gather(*(side.generate_async("same") for side in (one, two) for _ in range(3)))
        assert [answer.cached for answer in answers].count(False) == 1
        assert {answer.text for answer in answers} == {"x"}
        assert sum(answer.cost_usd or 0.0 for answer in answers if answer.cached) == 0.0
        other = await two.generate_async("same", tenant_id="other")
        assert not other.cached

        async def read(side: LiteLLMGateway) -> tuple[str, bool]:
            stream = side.generate_stream("streamed")
            text = "".join([piece async for piece in stream])
            return text, stream.response.cached

        streamed = await asyncio.gather(*(read(side) for side in (one, two)))
        assert sorted(streamed) == [("x", False), ("x", True)]


async def test_shared_flights_without_their_redis_are_each_ones_own() -> None:
    async with gateway("redis://127.0.0.1:1/0", **SHARED) as one, gateway("redis://127.0.0.1:1/0", **SHARED) as two:
        async with asyncio.timeout(5):
            answers = await asyncio.gather(one.generate_async("same"), two.generate_async("same"))
        assert [answer.cached for answer in answers] == [False, False]


def test_shared_flights_need_a_redis() -> None:
    with pytest.raises(ConfigurationError, match=r"deduplication\.shared"):
        GatewayConfig(providers=["scripted"], **SHARED)  # type: ignore[arg-type]


def test_one_made_where_another_loop_runs_follows_the_others_at_home_and_closes(redis_server: Any) -> None:
    """It is made in one loop, which is gone, and in one that goes on beside it: neither is its home."""

    async def made() -> LiteLLMGateway:
        side = gateway(redis_server.url)
        await asyncio.sleep(0.05)
        return side

    async def used(two: LiteLLMGateway) -> None:
        three = gateway(redis_server.url)
        async with gateway(redis_server.url) as one:
            await one.generate_async("one")
            await two.generate_async("two")
            threads = (asyncio.to_thread(three.generate, f"{number}") for number in range(8))
            assert {answer.text for answer in await asyncio.gather(*threads)} == {"x"}
            one.open_circuit_breaker()
            async with asyncio.timeout(5):
                while any(breaker.state == "closed" for side in (two, three) for breaker in side.circuit_breakers()):
                    await asyncio.sleep(0.02)
            assert (await three.get_health())["stores"]["redis"]["status"] == "healthy"
            await asyncio.to_thread(three.close)
            await two.aclose()

    asyncio.run(used(asyncio.run(made())))


def test_a_hand_moves_breakers_where_no_loop_runs_or_one_that_is_not_home(redis_server: Any) -> None:
    with gateway(redis_server.url) as side:

        async def elsewhere() -> None:
            side.open_circuit_breaker()

        side.open_circuit_breaker()
        asyncio.run(elsewhere())
        side.close_circuit_breaker()
        assert side.generate("after").text == "x"
        assert asyncio.run(side.get_health())["stores"]["redis"]["status"] == "healthy"
