"""What the breaker's tests are made of: breakers on a clock of the test's own, calls, and routed deployments."""

import asyncio
import random

from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.layer import CircuitBreakerLayer
from gatewright.layers.circuit_breaker.registry import CircuitBreakers
from gatewright.layers.routing.plan import Fallbacks
from gatewright.layers.routing.retries import RetryConfig
from gatewright.layers.routing.router import Router
from gatewright.layers.routing.table import RoutingTable
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events
from gatewright.pipeline.layer import stack
from gatewright.pipeline.reply import Reply
from gatewright.testing import FakeClock
from gatewright.types.deployment import Deployment
from gatewright.types.requests import GenerateRequest
from gatewright.types.results import Answer, Choice

CONFIG = CircuitBreakerConfig(failure_threshold=2, success_threshold=2, timeout=10, jitter=0)


def deployment(name="a", group="model", provider="acme", **settings):
    return Deployment(id=name, group=group, provider=provider, model="m", **settings)


def call(model="model", clock=None, **settings):
    started_at = 0.0 if clock is None else clock.now()
    return Call(request=GenerateRequest(model=model), id="req_1", started_at=started_at, **settings)


def answer(text="hello"):
    return Reply.whole(Answer(choices=[Choice(text=text)], model="m", provider="acme"))


class Upstream:
    """Answers, or fails with `error` while there is one; an answer takes `seconds` of the clock's."""

    def __init__(self, clock, error=None, seconds=0.0):
        self.clock, self.error, self.seconds, self.asked = clock, error, seconds, 0

    async def __call__(self, call, /):
        self.asked += 1
        if self.seconds:
            await self.clock.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return answer(call.request.model)


class Routed:
    """A real router over deployments that have breakers, each with an upstream of its own."""

    def __init__(self, *deployments, config=CONFIG, clock=None, fallbacks=None, retries=None):
        self.clock = FakeClock() if clock is None else clock
        self.events = Events()
        self.heard = []
        self.events.subscribe(self.heard.append)
        self.breakers = CircuitBreakers(config, clock=self.clock, events=self.events, random=lambda: 0.0)
        self.upstreams = {one.id: Upstream(self.clock) for one in deployments}
        self.table = RoutingTable(deployments, gate_of=self.breakers.of, rng=random.Random(1))
        self.handlers = {
            one.id: stack([CircuitBreakerLayer(self.breakers.of(one), self.clock)], self.upstreams[one.id])
            for one in deployments
        }
        self.router = Router(
            self.table,
            lambda one: self.handlers[one.id],
            fallbacks=fallbacks or Fallbacks(),
            retries=retries or RetryConfig(base=0.0),
            clock=self.clock,
            events=self.events,
            rng=random.Random(1),
        )

    def ask(self, model="model", **settings):
        """Start a call; gives its task."""

        async def whole():
            reply = await self.router(call(model, self.clock, **settings))
            return await reply.value()

        return asyncio.ensure_future(whole())
