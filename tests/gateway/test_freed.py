"""A call that fails is freed when it has failed, and leaves nothing to Python's collector.

What goes in circles is freed by the collector only, and while many calls are under way it runs late: a flood of refused
calls would be freed all at once, and every other call stand still meanwhile.
"""

import asyncio
import contextlib
import gc
from itertools import count

import pytest

from gatewright import GatewayConfig, LiteLLMGateway, create_gateway
from gatewright.errors import GatewayError

CALLS = 30
NUMBERS = count()


@pytest.fixture
def gateway_of(gateways):
    """Make gateways of one simulated model, closed at the end of the test."""

    def make(simulator=None, **settings):
        return gateways(
            create_gateway(
                providers=["simulator"],
                default_model="simulator/m",
                simulator={"output_tokens": 5, **(simulator or {})},
                record_operations=False,
                **settings,
            )
        )

    return make


@pytest.fixture
async def gateways():
    async with contextlib.AsyncExitStack() as stack:

        def keep(gateway):
            stack.push_async_callback(gateway.aclose)
            return gateway

        yield keep


async def left_by(calls):
    """Give how many objects each of `CALLS` leaves to the collector, each in a task of its own."""

    async def one():
        with contextlib.suppress(GatewayError, asyncio.CancelledError):
            await asyncio.create_task(calls())

    for _ in range(5):
        await one()
    await asyncio.sleep(0.02)
    gc.collect()
    gc.disable()
    try:
        for _ in range(CALLS):
            await one()
        await asyncio.sleep(0.02)
        return gc.collect() / CALLS
    finally:
        gc.enable()


def ask(gateway, **options):
    return lambda: gateway.generate_async(f"prompt {next(NUMBERS)}", tenant_id="a", **options)


ONE_A_MINUTE = {"requests_per_minute": 1, "burst_size": 1}
FAILING = {"failure_rate": 1.0, "retry_after": 0.001}
NO_BREAKER = {"circuit_breaker": {"enabled": False}}


@pytest.mark.parametrize(
    ("simulator", "settings", "options"),
    [
        ({}, {"rate_limit": {**ONE_A_MINUTE, "enable_queuing": False}}, {}),
        ({}, {"rate_limit": {**ONE_A_MINUTE, "max_queue_size": 0}}, {}),
        ({}, {"rate_limit": {**ONE_A_MINUTE, "queue_timeout": 0.002}}, {}),
        ({}, {"rate_limit": ONE_A_MINUTE}, {"timeout": 1.0}),
        ({"latency": 0.5}, {}, {"timeout": 0.002}),
        (FAILING, NO_BREAKER, {"max_retries": 0}),
        (FAILING, NO_BREAKER, {"max_retries": 2}),
        (FAILING, {"circuit_breaker": {"failure_threshold": 1, "timeout": 600}}, {"max_retries": 0}),
        ({}, {}, {"model": "nobody/has-this"}),
    ],
    ids=["no queue", "queue full", "queue timeout", "no time", "deadline", "failure", "retries", "breaker", "unknown"],
)
async def test_a_call_that_fails_leaves_nothing_to_the_collector(gateway_of, simulator, settings, options):
    assert await left_by(ask(gateway_of(simulator, **settings), **options)) < 1


async def test_a_call_that_waited_for_its_turn_leaves_nothing_to_the_collector(gateway_of):
    gateway = gateway_of(rate_limit={"requests_per_minute": 60_000, "burst_size": 1})

    async def several():
        calls = (gateway.generate_async(f"{next(NUMBERS)}", tenant_id="abc"[place % 3]) for place in range(6))
        await asyncio.gather(*calls)

    assert await left_by(several) < 1


async def test_a_shared_failure_leaves_nothing_to_the_collector(gateway_of):
    gateway = gateway_of({**FAILING, "latency": 0.001}, **NO_BREAKER)

    async def several():
        calls = (gateway.generate_async("the same", tenant_id="a", max_retries=0) for _ in range(4))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, GatewayError) for one in found)

    assert await left_by(several) < 1


@pytest.mark.parametrize("simulator", [FAILING, {"stream_failure_rate": 1.0}], ids=["does not begin", "breaks"])
async def test_a_stream_that_fails_leaves_nothing_to_the_collector_and_still_has_what_came(gateway_of, simulator):
    gateway = gateway_of(simulator, **NO_BREAKER)
    came = []

    async def read():
        async with gateway.generate_stream(f"prompt {next(NUMBERS)}", tenant_id="a", max_retries=0) as stream:
            try:
                async for _ in stream:
                    pass
            finally:
                came.append((stream.text, stream.so_far))

    assert await left_by(read) < 1
    for text, so_far in came:
        assert bool(text) == (simulator is not FAILING)
        assert so_far is None or so_far.choices[0].text == text


@pytest.mark.parametrize("settings", [{"rate_limit": {**ONE_A_MINUTE, "enable_queuing": False}}, {"timeout": 0.002}])
def test_a_blocking_call_that_fails_leaves_nothing_to_the_collector(settings):
    simulator = {"latency": 0.5} if "timeout" in settings else {}
    with create_gateway(
        providers=["simulator"],
        default_model="simulator/m",
        simulator=simulator,
        record_operations=False,
        **settings,
    ) as gateway:

        def one():
            with contextlib.suppress(GatewayError):
                gateway.generate(f"prompt {next(NUMBERS)}")

        for _ in range(5):
            one()
        gc.collect()
        gc.disable()
        try:
            for _ in range(CALLS):
                one()
            assert gc.collect() / CALLS < 1
        finally:
            gc.enable()


async def test_an_error_of_another_kind_keeps_the_frames_that_tell_where_it_comes_from(gateways):
    class Broken:
        async def __call__(self, call, /):
            raise KeyError("a slip in a provider's code")

        async def aclose(self):
            pass

    model = {"model_name": "m", "litellm_params": {"model": "own/m"}}
    gateway = gateways(LiteLLMGateway(GatewayConfig(model_list=[model]), providers={"own": lambda _: Broken()}))
    with pytest.raises(GatewayError) as caught:
        await gateway.generate_async("hello", model="m", max_retries=0)
    slip = caught.value.__cause__
    assert isinstance(slip, KeyError)
    assert slip.__traceback__ is not None
