"""A breaker over real connections to a real process that breaks, dies and comes back under load."""

import asyncio
import json
import random
import sys
import urllib.request
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gatewright.clock import MONOTONIC
from gatewright.errors import GatewayError
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.layer import CircuitBreakerLayer
from gatewright.layers.circuit_breaker.registry import CircuitBreakers
from gatewright.layers.routing.plan import Fallbacks
from gatewright.layers.routing.retries import RetryConfig
from gatewright.layers.routing.router import Router
from gatewright.layers.routing.table import RoutingTable
from gatewright.pipeline.call import Call, new_id
from gatewright.pipeline.events import AttemptEnded, BreakerChanged, Events
from gatewright.pipeline.layer import stack
from gatewright.providers.lanes import Lanes
from gatewright.types.deployment import Deployment
from gatewright.types.requests import GenerateRequest

CALLERS = 8
PAUSE = 0.01
CONFIG = CircuitBreakerConfig(failure_threshold=3, success_threshold=2, timeout=0.3, max_open_time=0.6, jitter=0.1)


class Process:
    """The upstream's process; started anew it listens at the same port."""

    port = 0

    async def start(self):
        script = str(Path(__file__).with_name("upstream.py"))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, script, str(self.port), stdout=asyncio.subprocess.PIPE
        )
        self.port = int(await self.process.stdout.readline())

    async def kill(self):
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def ask(self, path):
        def asked():
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
                return json.load(response)

        return await asyncio.to_thread(asked)

    async def count(self):
        return (await self.ask("/count"))["count"]


class Load:
    """Callers that ask again and again, through a router with breakers; what became of it, and what was heard."""

    def __init__(self, primary, backup):
        self.heard, self.outcomes, self.answered_by = [], Counter(), Counter()
        events = Events()
        events.subscribe(self.heard.append)
        self.breakers = CircuitBreakers(CONFIG, clock=MONOTONIC, events=events)
        self.lanes = Lanes()
        deployments = [_deployment("primary", "model", primary), _deployment("backup", "spare", backup)]
        rng = random.Random(1)
        self.router = Router(
            RoutingTable(deployments, gate_of=self.breakers.of, rng=rng),
            self.handler,
            fallbacks=Fallbacks(by_model={"model": ["spare"]}),
            retries=RetryConfig(max_retries=1, base=0.01),
            clock=MONOTONIC,
            events=events,
            rng=rng,
        )

    def handler(self, deployment):
        layer = CircuitBreakerLayer(self.breakers.of(deployment))
        return stack([layer], self.lanes.provider(deployment))

    async def caller(self):
        while True:
            request = GenerateRequest(model="model", messages=[{"role": "user", "content": "ping"}])
            now = MONOTONIC.now()
            call = Call(request=request, id=new_id(), started_at=now, deadline=now + 30)
            try:
                async with await self.router(call) as reply:
                    answer = await reply.value()
            except GatewayError as error:
                self.outcomes[type(error).__name__] += 1
            else:
                self.outcomes["answered"] += 1
                self.answered_by[answer.deployment_id] += 1
            await asyncio.sleep(PAUSE)

    def changes(self):
        return [(one.before, one.after) for one in self.heard if isinstance(one, BreakerChanged)]

    def attempts(self):
        return [one for one in self.heard if isinstance(one, AttemptEnded) and one.deployment_id == "primary"]

    async def until(self, came, seconds=30):
        """Wait for `came()`, under the load."""
        async with asyncio.timeout(seconds):
            while not came():
                await asyncio.sleep(0.01)


def _deployment(name, group, upstream):
    return Deployment(
        id=name, group=group, provider="openai_compatible", model="m", base_url=f"http://127.0.0.1:{upstream.port}/v1"
    )


@asynccontextmanager
async def under_load():
    primary, backup = Process(), Process()
    await primary.start()
    await backup.start()
    load = Load(primary, backup)
    callers = [asyncio.ensure_future(load.caller()) for _ in range(CALLERS)]
    try:
        await load.until(lambda: load.answered_by["primary"] >= 100)
        yield load, primary
    finally:
        for one in callers:
            one.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await load.lanes.aclose()
        await primary.kill()
        await backup.kill()


@pytest.mark.parametrize("fault", ["answers 500", "is killed"])
async def test_an_upstream_that_dies_and_comes_back_under_load(fault):
    async with under_load() as (load, primary):
        killed = fault == "is killed"
        await (primary.kill() if killed else primary.ask("/break"))
        await load.until(lambda: ("closed", "open") in load.changes())
        # What was under way when it opened may still end; from then on there are probes only.
        await asyncio.sleep(2 * PAUSE)
        asked = None if killed else await primary.count()
        attempts, changes = len(load.attempts()), len(load.changes())
        answered = load.answered_by["backup"]
        await load.until(lambda: load.changes()[changes:].count(("half_open", "open")) >= 3)
        await load.until(lambda: load.answered_by["backup"] >= answered + 200)

        assert len(load.attempts()) - attempts <= load.changes().count(("open", "half_open"))
        if asked is not None:
            assert await primary.count() - asked <= load.changes().count(("open", "half_open"))

        await (primary.start() if killed else primary.ask("/mend"))
        changes, answered = len(load.changes()), load.answered_by["primary"]
        await load.until(lambda: load.answered_by["primary"] >= answered + 100)
        # Back within one open time: its next probes close it, and nothing opens it again.
        after = load.changes()[changes:]
        assert after[-2:] == [("open", "half_open"), ("half_open", "closed")]
        assert after.count(("half_open", "open")) <= 1  # a probe may have been under way while it came back

        failed = load.outcomes.total() - load.outcomes["answered"]
        assert load.outcomes.total() >= 400
        assert failed <= 0.001 * load.outcomes.total(), load.outcomes
