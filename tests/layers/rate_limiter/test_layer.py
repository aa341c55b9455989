import asyncio

import pytest

from gatewright import errors
from gatewright.layers.deadline import DeadlineLayer
from gatewright.layers.rate_limiter import (
    EVERY,
    DeploymentLimits,
    RateLimitConfig,
    RateLimiter,
    RateLimitLayer,
)
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import stack
from gatewright.pipeline.reply import Reply
from gatewright.pipeline.room import NoRoom
from gatewright.testing import FakeClock, ScriptedProvider
from gatewright.types.caller import Caller
from gatewright.types.deployment import Deployment
from gatewright.types.limits import ProviderLimits
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings, ToolCall
from gatewright.types.usage import Usage

WIDE = RateLimitConfig(requests_per_minute=60, tokens_per_minute=60_000)
PROMPT = 4 + 11  # a message, and 40 characters of it
USAGE = Usage(prompt_tokens=20, completion_tokens=30, total_tokens=50)


def call(model="m", tenant="a", stream=False, key=None, deadline=None, id_="req_1", **params):
    request = GenerateRequest(model=model, messages=[{"role": "user", "content": "x" * 40}], params=params)
    return Call(
        request=request,
        id=id_,
        started_at=1000.0,
        caller=Caller(tenant_id=tenant, key_id=key),
        stream=stream,
        deadline=deadline,
    )


def embedding(*texts):
    request = EmbedRequest(model="m", inputs=texts)
    return Call(request=request, id="req_e", started_at=1000.0, caller=Caller(tenant_id="a"))


def answer(*texts, usage=USAGE, **fields):
    return Answer(
        choices=[Choice(index=n, text=text, **fields) for n, text in enumerate(texts)],
        model="m",
        provider="p",
        usage=usage,
    )


class Scene:
    def __init__(self, *script, tenant=WIDE, deployment=None, provider=None, queueing=None, name_of=str, gate=None):
        self.clock = FakeClock()
        self.limiter = RateLimiter(self.clock)
        if tenant is not None:
            self.limiter.configure("tenant", EVERY, tenant)
        self.provider = provider or ScriptedProvider(script, clock=self.clock, gate=gate)
        self.limits = DeploymentLimits(self.limiter)
        self.limits.queue_by(queueing)
        made = Deployment(id="d", group="m", provider="p", model="m", **(deployment or {}))
        inner = self.limits.layer(made)
        attempt = stack([inner] if inner is not None else [], self.provider)
        self.handle = stack([RateLimitLayer(self.limiter, name_of)], lambda call: self.route(attempt, call))

    async def route(self, attempt, call):
        """Wait for room where there is none, as routing does."""
        try:
            return await attempt(call)
        except NoRoom:
            pass
        await self.limits.first(call, ["d"])
        return await attempt(call)

    def spent(self, scope="tenant:a"):
        level = next(one for one in self.limiter.levels() if one.scope == scope)
        assert level.in_flight == 0
        return level.request_burst - level.requests, level.token_burst - level.tokens

    def in_flight(self, scope="tenant:a"):
        return next(one for one in self.limiter.levels() if one.scope == scope).in_flight

    async def ask(self, made=None):
        async with await self.handle(made or call()) as reply:
            return await reply.value()


async def test_a_call_is_charged_what_it_used_at_each_limit_that_applies():
    scene = Scene(answer("yes"), deployment={"rpm": 60, "tpm": 60_000})
    for scope, name in (("global", ""), ("model", "m"), ("tenant_model", ("a", "m")), ("key", "k")):
        scene.limiter.configure(scope, name, WIDE)
    await scene.ask(call(key="k"))
    scopes = {one.scope for one in scene.limiter.levels()}
    assert scopes == {"global:", "tenant:a", "model:m", "tenant_model:('a', 'm')", "key:k", "deployment:d"}
    assert {scene.spent(scope) for scope in scopes} == {(1, 50)}


async def test_what_is_reserved_is_the_prompt_and_the_expected_output():
    gate = asyncio.Event()
    scene = Scene(answer("yes"), gate=gate)
    task = asyncio.create_task(scene.ask(call(max_tokens=100, n=2)))
    await scene.clock.advance(0)
    level = scene.limiter.levels()[0]
    assert level.token_burst - level.tokens == PROMPT + 200
    gate.set()
    await task


@pytest.mark.parametrize("params", [{"max_tokens": -1_000_000}, {"n": -5}, {"n": 10**9}, {"max_tokens": "many"}])
async def test_absurd_parameters_neither_fill_nor_drain_a_limit(params):
    gate = asyncio.Event()
    scene = Scene(answer("yes"), gate=gate)
    task = asyncio.create_task(scene.ask(call(**params)))
    await scene.clock.advance(0)
    level = scene.limiter.levels()[0]
    assert 0 <= level.token_burst - level.tokens <= PROMPT + 128 * 256
    gate.set()
    await task
    assert scene.spent() == (1, 50)


async def test_the_output_is_learned_from_completed_answers_per_choice():
    usage = Usage(prompt_tokens=20, completion_tokens=600, total_tokens=620)
    scene = Scene(answer("a", "b", usage=usage), answer("a", "b", usage=usage), deployment={"tpm": 60_000})
    await scene.ask(call())
    assert scene.limiter.meter.estimator.estimate("a", "m") == 300
    assert scene.limiter.meter.expected(call()) == PROMPT + 300


async def test_an_answer_that_two_limits_settle_is_learned_from_once():
    lengths = [10, 1000, 1000, 10]
    answers = [answer("a", usage=Usage(completion_tokens=n, total_tokens=n)) for n in lengths]
    estimates = []
    for deployment in ({"tpm": 60_000}, {}):
        scene = Scene(*answers, deployment=deployment)
        for number in range(4):
            await scene.ask(call(id_=f"req_{number}"))
        estimates.append(scene.limiter.meter.estimator.estimate("a", "m"))
    assert estimates[0] == estimates[1]


async def test_an_answer_without_usage_is_charged_by_its_text():
    tool = ToolCall(id="t", name="look", arguments="x" * 36)
    scene = Scene(answer("x" * 40, usage=Usage(), reasoning="x" * 20, tool_calls=(tool,)))
    await scene.ask()
    assert scene.spent() == (1, PROMPT + 10 + 5 + 1 + 9)


async def test_a_stream_is_charged_when_it_ends():
    scene = Scene(["x" * 8, Chunk(usage=USAGE)])
    async with await scene.handle(call(stream=True)) as reply:
        assert scene.in_flight() == 1
        await reply.value()
    assert scene.spent() == (1, 50)


async def test_an_abandoned_stream_is_charged_by_what_was_read():
    scene = Scene(["x" * 8, "x" * 8, Chunk(usage=USAGE)])
    async with await scene.handle(call(stream=True)) as reply:
        await anext(reply)
    assert scene.spent() == (1, PROMPT + 2)
    assert len(scene.limiter.meter.estimator) == 0


async def test_a_stream_that_fails_is_charged_by_what_came():
    scene = Scene(["x" * 8, errors.ConnectionFailed("gone")])
    with pytest.raises(errors.ConnectionFailed):
        await scene.ask(call(stream=True))
    assert scene.spent() == (1, PROMPT + 2)


async def test_an_interrupted_stream_gives_its_permit_back():
    scene = Scene(["x" * 8, "x" * 8])
    reply = await scene.handle(call(stream=True))
    async with reply:
        await anext(reply)
        reply.interrupt(errors.DeadlineExceeded("too late"))
        with pytest.raises(errors.DeadlineExceeded):
            await anext(reply)
    assert scene.spent() == (1, PROMPT + 2)


@pytest.mark.parametrize(
    ("error", "tokens"),
    [
        (errors.BadRequest("wrong"), 0),
        (errors.AuthenticationFailed("no key"), 0),
        (errors.NotFound("no model"), 0),
        (errors.ConfigurationError("wrong"), 0),
        (errors.RateLimited("busy"), 0),
        (errors.ConnectionFailed("gone"), 0),
        (errors.ProviderUnavailable("down"), 0),
        (RuntimeError("a bug"), 0),
        (errors.ProviderTimeout("slow"), PROMPT),
        (errors.InvalidProviderResponse("odd"), PROMPT),
    ],
)
async def test_a_failed_call_gives_back_what_its_provider_did_not_use_but_its_request(error, tokens):
    scene = Scene(error, deployment={"rpm": 60, "tpm": 60_000})
    with pytest.raises(type(error)):
        await scene.ask()
    assert scene.spent() == (1, tokens)
    assert scene.spent("deployment:d") == (1, tokens)


async def test_a_call_cancelled_or_timed_out_at_work_is_charged_its_prompt():
    scene = Scene(answer("never"), answer("never"), gate=asyncio.Event())
    task = asyncio.create_task(scene.ask())
    await scene.clock.advance(0)
    assert scene.in_flight() == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.spent() == (1, PROMPT)
    timed = stack([DeadlineLayer(scene.clock)], scene.handle)
    with pytest.raises(errors.DeadlineExceeded):
        await timed(call(deadline=scene.clock.now() + 0.001))
    assert scene.spent() == (2, 2 * PROMPT)


async def test_a_reply_that_nobody_can_count_keeps_its_reservation_and_gives_its_permit_back(caplog):
    async def odd(_call):
        return Reply.whole("not an answer")

    scene = Scene(provider=odd)
    await scene.ask(call(max_tokens=5))
    assert scene.spent() == (1, PROMPT + 5)
    assert "settling a reply failed" in caplog.text


async def test_embeddings_are_charged_their_prompt():
    vectors = Embeddings(vectors=[[1.0]], model="m", provider="p", usage=Usage(prompt_tokens=7, total_tokens=7))
    bare = Embeddings(vectors=[[1.0]], model="m", provider="p")
    scene = Scene(vectors, bare)
    assert scene.limiter.meter.expected(embedding("x" * 40, [1, 2, 3])) == 11 + 3
    await scene.ask(embedding("x" * 40))
    assert scene.spent() == (1, 7)
    await scene.ask(embedding("x" * 40))
    assert scene.spent() == (2, 7 + 11)


async def test_a_call_without_limits_goes_through_untouched():
    scene = Scene(answer("yes"), tenant=None)
    await scene.ask()
    assert scene.limiter.levels() == []
    assert len(scene.limiter.meter.estimator) == 0


async def test_an_alias_shares_the_models_limit():
    scene = Scene(answer("a"), answer("b"), tenant=None, name_of={"smart": "m", "m": "m"}.__getitem__)
    scene.limiter.configure("model", EVERY, WIDE)
    await scene.ask(call(model="smart"))
    await scene.ask(call(model="m"))
    assert scene.spent("model:m") == (2, 100)


async def test_a_retry_is_charged_at_the_deployment_again_and_at_the_tenant_once():
    scene = Scene(errors.ConnectionFailed("gone"), answer("yes"))
    inner = scene.limits.layer(Deployment(id="d", group="m", provider="p", model="m", rpm=60, tpm=60_000))
    assert inner is not None
    attempt = stack([inner], scene.provider)

    async def retrying(made):
        try:
            return await attempt(made)
        except errors.ConnectionFailed:
            return await attempt(made)

    async with await stack([RateLimitLayer(scene.limiter)], retrying)(call()) as reply:
        await reply.value()
    assert scene.spent("tenant:a") == (1, 50)
    assert scene.spent("deployment:d") == (2, 50)


async def test_a_call_waits_for_its_tenants_limit():
    scene = Scene(answer("a"), answer("b"), tenant=RateLimitConfig(requests_per_minute=60, burst_size=1))
    await scene.ask()
    task = asyncio.create_task(scene.ask(call(id_="req_2")))
    await scene.clock.advance(0.9)
    assert len(scene.provider.calls) == 1
    assert scene.limiter.queue_status().calls[0].call_id == "req_2"
    await scene.clock.advance(0.1)
    await task
    assert len(scene.provider.calls) == 2


async def test_a_call_cancelled_while_it_waits_for_a_deployment_leaves_no_trace_at_its_tenant():
    gate = asyncio.Event()
    scene = Scene(answer("a"), deployment={"max_parallel_requests": 1}, gate=gate)
    first = asyncio.create_task(scene.ask())
    await scene.clock.advance(0)
    second = asyncio.create_task(scene.ask(call(id_="req_2")))
    await scene.clock.advance(0)
    assert scene.limiter.waiting == 1
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    assert scene.spent() == (1, 50)


async def test_a_call_refused_by_a_deployments_own_limit_pays_its_tenant_nothing():
    gate = asyncio.Event()
    scene = Scene(
        answer("a"),
        deployment={"max_parallel_requests": 1},
        gate=gate,
        queueing=RateLimitConfig(enable_queuing=False),
    )
    first = asyncio.create_task(scene.ask())
    await scene.clock.advance(0)
    with pytest.raises(errors.RateLimited) as caught:
        await scene.ask(call(id_="req_2"))
    assert not caught.value.asked
    gate.set()
    await first
    assert scene.spent() == (1, 50)


async def test_a_deployment_without_limits_has_no_layer():
    scene = Scene()
    assert scene.limits.layer(Deployment(id="e", group="m", provider="p", model="m")) is None
    assert scene.limits.has_room("e", scene.clock.now())


async def test_a_deployment_has_its_own_burst_and_queues_as_it_is_told():
    others = RateLimitConfig(requests_per_minute=5, burst_size=1, burst_tokens=1, queue_timeout=7.0, max_queue_size=3)
    scene = Scene(tenant=None, deployment={"rpm": 60, "tpm": 600}, queueing=others)
    (limit,) = scene.limiter.limit_of("d")
    assert (limit.config.request_burst, limit.config.token_burst) == (60, 600)
    assert (limit.config.queue_timeout, limit.config.max_queue_size) == (7.0, 3)


async def test_a_deployment_takes_so_many_calls_at_once_and_has_no_room_for_more():
    gate = asyncio.Event()
    scene = Scene(answer("a"), answer("b"), tenant=None, deployment={"max_parallel_requests": 1}, gate=gate)
    tasks = [asyncio.create_task(scene.ask()) for _ in range(2)]
    await scene.clock.advance(0)
    assert len(scene.provider.calls) == 1
    assert not scene.limits.has_room("d", scene.clock.now())
    gate.set()
    await asyncio.gather(*tasks)
    assert len(scene.provider.calls) == 2
    assert scene.limits.has_room("d", scene.clock.now())


async def test_a_stream_holds_its_place_until_it_ends():
    scene = Scene(["a", "b"], answer("c"), tenant=None, deployment={"max_parallel_requests": 1})
    async with await scene.handle(call(stream=True)) as reply:
        task = asyncio.create_task(scene.ask())
        await anext(reply)
        await scene.clock.advance(5)
        assert not task.done()
    await scene.clock.advance(0)
    assert (await task).choices[0].text == "c"


async def test_a_429_with_retry_after_pauses_the_deployment_for_those_who_wait_too():
    gate = asyncio.Event()
    busy = errors.RateLimited("busy", retry_after=10.0, upstream_status=429)
    scene = Scene(busy, answer("a"), tenant=None, deployment={"rpm": 600, "max_parallel_requests": 1}, gate=gate)
    first, second = (asyncio.create_task(scene.ask()) for _ in range(2))
    await scene.clock.advance(0)
    gate.set()
    with pytest.raises(errors.RateLimited):
        await first
    await scene.clock.advance(9.9)
    assert not second.done()
    assert not scene.limits.has_room("d", scene.clock.now())
    await scene.clock.advance(0.2)
    await second


async def test_our_own_refusal_pauses_nothing():
    scene = Scene(answer("a"), tenant=None, deployment={"rpm": 60})

    async def refuses(_call):
        error = errors.RateLimited("our own", retry_after=50.0)
        error.asked = False
        raise error

    inner = scene.limits.layer(Deployment(id="d", group="m", provider="p", model="m", rpm=60))
    assert inner is not None
    with pytest.raises(errors.RateLimited):
        await stack([inner], refuses)(call())
    assert scene.limits.has_room("d", scene.clock.now())


@pytest.mark.parametrize("reserved", [10, 1_000])
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_providers_remaining_counts_correct_the_limit(reserved, streamed):
    script = ScriptedProvider([answer("a")])

    async def telling(made):
        reply = await script(made) if streamed else Reply.whole(answer("a"))
        reply.limits = ProviderLimits(remaining_requests=2, remaining_tokens=1000)
        return reply

    scene = Scene(provider=telling, tenant=None, deployment={"rpm": 60, "tpm": 60_000})
    await scene.ask(call(max_tokens=reserved, stream=streamed))
    # The call itself is counted in what its provider says: neither what it gives back nor what it owes comes on top.
    assert scene.spent("deployment:d") == (58, 59_000)


async def test_what_came_in_during_a_stream_is_there_at_its_end():
    gate = asyncio.Event()
    script = ScriptedProvider([answer("a")], gate=gate)

    async def telling(made):
        gate.set()
        reply = await script(made)
        reply.limits = ProviderLimits(remaining_tokens=1000)
        return reply

    scene = Scene(provider=telling, tenant=None, deployment={"tpm": 60_000})
    async with await scene.handle(call(max_tokens=1_000, stream=True)) as reply:
        await scene.clock.advance(2.0)
        await reply.value()
    level = scene.limiter.levels()[0]
    assert level.tokens == pytest.approx(1000 + 2_000)


async def test_a_forgotten_deployment_has_no_limit_any_more():
    scene = Scene(answer("a"), tenant=None, deployment={"rpm": 60})
    scene.limits.forget("d")
    await scene.ask()
    assert scene.limiter.levels() == []


async def test_tenants_have_their_weight_at_a_deployment_too():
    gate = asyncio.Event()
    script = [answer("x")] * 13
    scene = Scene(*script, tenant=None, deployment={"rpm": 60}, gate=gate)
    scene.limiter.configure("deployment", "d", RateLimitConfig(requests_per_minute=60, burst_size=1))
    gate.set()
    scene.limiter.configure("tenant", "b", RateLimitConfig(weight=3.0))
    await scene.ask()
    tasks = [asyncio.create_task(scene.ask(call(tenant=tenant))) for _ in range(6) for tenant in "ab"]
    await scene.clock.advance(4)
    assert [made.caller.tenant_id for made in scene.provider.calls[1:]].count("b") == 3
    await scene.clock.advance(8)
    await asyncio.gather(*tasks)


async def test_a_pause_is_no_longer_than_a_day():
    async def tired(_call):
        raise errors.RateLimited("come again", retry_after=1e25)

    scene = Scene(provider=tired, tenant=None, deployment={"rpm": 60})
    with pytest.raises(errors.RateLimited):
        await scene.ask()
    assert scene.limiter.levels()[0].paused_for == pytest.approx(86_400)
