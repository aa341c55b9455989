from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from gatewright import errors
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.providers.simulator import SimulatorProvider
from gatewright.providers.simulator.schema import sample
from gatewright.testing import FakeClock
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Embeddings
from gatewright.types.usage import Price, Usage

PRICE = Price(input_cost_per_token=1e-3, output_cost_per_token=1e-2)


def deployment(**settings: Any) -> Deployment:
    return Deployment(id="sim-1", group="sim", provider="simulator", model="sim-model", settings=settings)


def simulator(clock: FakeClock | None = None, /, **settings: Any) -> SimulatorProvider:
    return SimulatorProvider(deployment(**settings), clock=clock or FakeClock())


def asked(prompt: str = "What is the capital of France?", *, stream: bool = False, **params: Any) -> Call:
    request = GenerateRequest(model="sim", messages=[{"role": "user", "content": prompt}], params=params)
    return Call(request=request, id="req_1", started_at=0.0, stream=stream)


def embedding(*inputs: str | list[int], **params: Any) -> Call:
    return Call(request=EmbedRequest(model="sim", inputs=inputs, params=params), id="req_1", started_at=0.0)


async def answer(provider: SimulatorProvider, call: Call) -> Answer:
    async with await provider(call) as reply:
        return await reply.value()


async def text(provider: SimulatorProvider, call: Call) -> str:
    return (await answer(provider, call)).choices[0].text


class TestText:
    async def test_is_made_from_the_prompt_and_the_seed(self) -> None:
        first = await text(simulator(), asked("What is the capital of France?"))
        assert first == await text(simulator(), asked("What is the capital of France?"))
        assert "What is the capital of France?" in first
        assert first != await text(simulator(), asked("What is the capital of Spain?"))
        seeded = {await text(simulator(seed=seed), asked()) for seed in range(20)}
        assert len(seeded) > 5

    async def test_has_as_many_tokens_as_configured(self) -> None:
        for tokens in (0, 1, 40, 500):
            found = await answer(simulator(output_tokens=tokens), asked())
            assert found.usage.completion_tokens == tokens

    async def test_fixed_and_in_turn(self) -> None:
        provider = simulator(responses=["one", "two"])
        assert [await text(provider, asked()) for _ in range(3)] == ["one", "two", "one"]
        assert await text(simulator(text="Paris. "), asked()) == "Paris. "

    async def test_everything_an_answer_has(self) -> None:
        provider = SimulatorProvider(
            Deployment(id="sim-1", group="g", provider="simulator", model="m", settings={"text": "to be"}, price=PRICE)
        )
        found = await answer(provider, asked("12345678"))
        assert found.usage == Usage(prompt_tokens=2, completion_tokens=2, total_tokens=4)
        assert found.cost_usd == pytest.approx(0.022)
        assert (found.provider, found.model, found.deployment_id) == ("simulator", "m", "sim-1")
        assert found.choices[0].finish_reason == "stop"

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    async def test_is_cut_at_the_token_limit(self, name: str) -> None:
        found = await answer(simulator(text="one two three"), asked(**dict[str, Any]({name: 2})))
        assert (found.choices[0].text, found.choices[0].finish_reason) == ("one two ", "length")
        assert found.usage.completion_tokens == 2
        exact = await answer(simulator(output_tokens=5), asked(**dict[str, Any]({name: 5})))
        assert exact.choices[0].finish_reason == "stop"
        made = await answer(simulator(output_tokens=50), asked(**dict[str, Any]({name: 5})))
        assert (made.usage.completion_tokens, made.choices[0].finish_reason) == (5, "length")

    async def test_ends_before_a_stop_word(self) -> None:
        provider = simulator(text="one two three")
        assert await text(provider, asked(stop=["three", " two"])) == "one"
        assert await text(provider, asked(stop="wo t")) == "one t"
        assert await text(provider, asked(stop="four")) == "one two three"

    async def test_n_choices_differ(self) -> None:
        found = await answer(simulator(), asked(n=3))
        assert [choice.index for choice in found.choices] == [0, 1, 2]
        assert len({choice.text for choice in found.choices}) == 3
        assert found.usage.completion_tokens == 96

    async def test_the_deployments_params_apply_unless_the_caller_says_otherwise(self) -> None:
        base = deployment(text="one two three")
        provider = SimulatorProvider(
            Deployment(id=base.id, group="g", provider="s", model="m", settings=base.settings, params={"max_tokens": 1})
        )
        assert await text(provider, asked()) == "one "
        assert await text(provider, asked(max_tokens=2)) == "one two "

    async def test_legacy_prompts_get_a_choice_each(self) -> None:
        request = GenerateRequest(model="m", style="text", prompt=["say one", "say two"], params={"n": 2})
        found = await answer(simulator(), Call(request=request, id="r", started_at=0.0))
        assert ["say one" in choice.text for choice in found.choices] == [True, True, False, False]
        tokens = GenerateRequest(model="m", style="text", prompt=[[1, 2, 3], [4]])
        found = await answer(simulator(), Call(request=tokens, id="r", started_at=0.0))
        assert (len(found.choices), found.usage.prompt_tokens) == (2, 4)

    async def test_parts_of_a_message_are_read(self) -> None:
        parts = [{"type": "text", "text": "look at"}, {"type": "image_url", "image_url": {"url": "x"}}]
        request = GenerateRequest(model="m", messages=[{"role": "user", "content": parts}])
        assert "look at" in await text(simulator(), Call(request=request, id="r", started_at=0.0))

    @pytest.mark.parametrize(
        ("params", "param"),
        [({"max_tokens": 0}, "max_tokens"), ({"max_tokens": "9"}, "max_tokens"), ({"n": 0.5}, "n"), ({"n": 999}, "n")],
    )
    async def test_wrong_parameters_are_refused(self, params: dict[str, Any], param: str) -> None:
        with pytest.raises(errors.BadRequest) as caught:
            await simulator()(asked(**params))
        assert caught.value.param == param


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}


class TestToolsAndJson:
    @pytest.mark.parametrize(
        ("choice", "name", "arguments"),
        [
            ("required", "weather", {"city": "text", "days": 1}),
            ({"type": "function", "function": {"name": "clock"}}, "clock", {}),
        ],
    )
    async def test_a_forced_tool_is_called(self, choice: Any, name: str, arguments: Any) -> None:
        call = asked(tools=[WEATHER, CLOCK], tool_choice=choice)
        [found] = (await answer(simulator(), call)).choices
        assert found.finish_reason == "tool_calls"
        assert (found.text, found.tool_calls[0].name) == ("", name)
        assert json.loads(found.tool_calls[0].arguments) == arguments
        [streamed] = (await answer(simulator(), call.replace(stream=True))).choices
        assert streamed == found

    @pytest.mark.parametrize("choice", [None, "auto", "none"])
    async def test_otherwise_it_writes_text(self, choice: str | None) -> None:
        [found] = (await answer(simulator(), asked(tools=[WEATHER], tool_choice=choice))).choices
        assert not found.tool_calls
        assert found.text

    async def test_an_unknown_tool_is_refused(self) -> None:
        with pytest.raises(errors.BadRequest, match="'other'"):
            await simulator()(asked(tools=[CLOCK], tool_choice={"type": "function", "function": {"name": "other"}}))

    async def test_json_as_asked(self) -> None:
        schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        assert json.loads(await text(simulator(), asked(response_format=form))) == {"ok": True}
        assert isinstance(json.loads(await text(simulator(), asked(response_format={"type": "json_object"}))), dict)
        plain = await text(simulator(text="plain"), asked(response_format={"type": "text"}))
        assert plain == "plain"


NODE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}, "name": {"type": "string"}},
            "required": ["next", "name"],
        }
    },
    "$ref": "#/$defs/Node",
}


class TestSchema:
    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"const": 7}, 7),
            ({"enum": ["b", "a"]}, "b"),
            ({"type": "string", "minLength": 6}, "textxx"),
            ({"type": "string", "maxLength": 2}, "te"),
            ({"type": "string", "format": "date"}, "2024-01-01"),
            ({"type": ["integer", "null"]}, 0),
            ({"type": "integer", "exclusiveMinimum": 4, "multipleOf": 3}, 6),
            ({"type": "integer", "maximum": -2}, -2),
            ({"type": "number", "minimum": 0.1, "maximum": 0.3}, pytest.approx(0.2)),
            ({"type": "number", "minimum": -5.5, "maximum": -5.25}, -5.375),
            ({"type": "array", "items": {"type": "null"}}, []),
            ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [None, None]),
            ({"type": "array", "prefixItems": [{"const": 1}], "minItems": 2, "items": {"const": 2}}, [1, 2]),
            ({"properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["b"]}, {"b": 2}),
            ({"oneOf": [{"type": "boolean"}, {"type": "null"}]}, True),
            ({"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"required": ["b"]}]}, None),
            ({}, "text"),
        ],
    )
    def test_samples(self, schema: dict[str, Any], value: Any) -> None:
        assert sample(schema) == ({"a": 1, "b": "text"} if "allOf" in schema else value)

    def test_a_recursive_schema_ends(self) -> None:
        node, depth = sample(NODE), 0
        while node is not None:
            assert node["name"] == "text"
            node, depth = node["next"], depth + 1
        assert depth < 10

    @pytest.mark.parametrize(
        "schema",
        [
            False,
            {"type": "colour"},
            {"$ref": "#/$defs/Missing"},
            {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
            {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        ],
    )
    def test_what_cannot_be_satisfied_is_refused(self, schema: Any) -> None:
        with pytest.raises(errors.BadRequest):
            sample(schema)


class TestStreams:
    async def test_adds_up_to_the_whole_answer_with_its_usage_last(self) -> None:
        provider = SimulatorProvider(
            Deployment(id="d", group="g", provider="s", model="m", price=PRICE, settings={"output_tokens": 20})
        )
        whole = await answer(provider, asked(n=2))
        async with await provider(asked(n=2, stream=True)) as reply:
            chunks = [chunk async for chunk in reply]
        assert reply.outcome is not None
        streamed = reply.outcome.value
        assert [choice.text for choice in streamed.choices] == [choice.text for choice in whole.choices]
        assert (streamed.usage, streamed.cost_usd) == (whole.usage, whole.cost_usd)
        assert chunks[-1].usage == whole.usage
        assert all(chunk.usage is None for chunk in chunks[:-1])

    async def test_come_at_their_pace(self) -> None:
        clock = FakeClock(0.0)
        provider = simulator(clock, text="a b c", latency=2.0, tokens_per_second=2)
        beginning = asyncio.create_task(provider(asked(stream=True)))
        await clock.advance(1.9)
        assert not beginning.done()
        await clock.advance(0.1)
        reply: Reply[Any, Answer] = await beginning
        arrivals: list[tuple[float, str]] = []

        async def read() -> None:
            arrivals.extend([(clock.now(), chunk.text) async for chunk in reply])

        reading = asyncio.create_task(read())
        await clock.advance(10.0)
        await reading
        assert arrivals == [(2.0, "a "), (2.5, "b "), (3.0, "c"), (3.5, "")]

    async def test_a_late_reader_gets_what_is_due_together(self) -> None:
        clock = FakeClock(0.0)
        reply = await simulator(clock, text="a b c d", tokens_per_second=1)(asked(stream=True))
        await reply.batch()
        reading = asyncio.create_task(reply.batch())
        await clock.advance(1.0)
        assert [chunk.text for chunk in await reading] == ["b "]
        await clock.advance(2.0)
        assert [chunk.text for chunk in await reply.batch()] == ["c ", "d"]
        await reply.aclose()

    async def test_break_after_their_first_chunk(self) -> None:
        for seed in range(10):
            provider = simulator(stream_failure_rate=1.0, seed=seed)
            reply = await provider(asked(stream=True))
            with pytest.raises(errors.ConnectionFailed):
                await reply.value()
            assert reply.partial().choices[0].text
            assert reply.partial().choices[0].finish_reason is None
            assert await text(provider, asked())


class TestFailures:
    @pytest.mark.parametrize(
        "cls",
        [
            errors.AuthenticationFailed,
            errors.BadRequest,
            errors.ConnectionFailed,
            errors.ContentPolicyViolation,
            errors.ContextWindowExceeded,
            errors.InvalidProviderResponse,
            errors.NotFound,
            errors.PermissionDenied,
            errors.ProviderTimeout,
            errors.ProviderUnavailable,
            errors.RateLimited,
        ],
    )
    async def test_every_kind_of_error(self, cls: type[errors.GatewayError]) -> None:
        provider = simulator(failure_rate=1.0, errors={cls.code: 1}, retry_after=7.0)
        with pytest.raises(cls) as caught:
            await provider(asked())
        assert type(caught.value) is cls
        assert (caught.value.provider, caught.value.model) == ("simulator", "sim-model")
        assert caught.value.retry_after == (7.0 if cls is errors.RateLimited else None)

    async def test_the_same_seed_fails_the_same_calls(self) -> None:
        async def sequence(seed: int) -> list[str]:
            provider = simulator(seed=seed, failure_rate=0.5, errors={"rate_limited": 0.5, "provider_unavailable": 0.5})
            found: list[str] = []
            for _ in range(40):
                try:
                    await provider(asked())
                    found.append("answered")
                except errors.GatewayError as error:
                    found.append(error.code)
            return found

        assert await sequence(1) == await sequence(1)
        assert await sequence(1) != await sequence(2)
        assert set(await sequence(1)) == {"answered", "rate_limited", "provider_unavailable"}

    async def test_the_first_calls_fail(self) -> None:
        provider = simulator(fail_first=2, text="at last")
        for _ in range(2):
            with pytest.raises(errors.ProviderUnavailable):
                await provider(asked())
        assert await text(provider, asked()) == "at last"

    async def test_an_attempt_slower_than_its_timeout(self) -> None:
        clock = FakeClock(0.0)
        slow = Deployment(id="d", group="g", provider="s", model="m", timeout=1.5, settings={"latency": 60})
        task = asyncio.create_task(SimulatorProvider(slow, clock=clock)(asked()))
        await clock.advance(1.5)
        with pytest.raises(errors.ProviderTimeout, match=r"1\.5 s"):
            await task

    async def test_latency_scatters_about_its_mean(self) -> None:
        class Noting(FakeClock):
            slept: list[float] = []

            async def sleep(self, seconds: float) -> None:
                self.slept.append(seconds)

        clock = Noting()
        provider = simulator(clock, latency={"mean": 0.2, "sigma": 0.5}, seed=3)
        for _ in range(2000):
            await provider(asked())
        assert sum(clock.slept) / 2000 == pytest.approx(0.2, rel=0.1)
        assert min(clock.slept) > 0


class TestEmbeddings:
    async def vectors(self, call: Call, **settings: Any) -> Embeddings:
        return await (await simulator(**settings)(call)).value()

    async def test_are_unit_vectors_that_depend_on_the_text_alone(self) -> None:
        found = await self.vectors(embedding("a", "b", "a", [1, 2, 3]))
        assert found.vectors[0] == found.vectors[2] != found.vectors[1]
        assert [len(vector) for vector in found.vectors] == [64] * 4
        assert all(math.hypot(*vector) == pytest.approx(1.0) for vector in found.vectors)
        assert found.usage == Usage(prompt_tokens=6, total_tokens=6)
        assert (await self.vectors(embedding("a"), seed=9)).vectors[0] == found.vectors[0]

    async def test_have_the_dimensions_asked_for(self) -> None:
        assert len((await self.vectors(embedding("a"), dimensions=8)).vectors[0]) == 8
        assert len((await self.vectors(embedding("a", dimensions=3))).vectors[0]) == 3
        with pytest.raises(errors.BadRequest) as caught:
            await self.vectors(embedding("a", dimensions=-1))
        assert caught.value.param == "dimensions"


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"latncy": 1}, r"model_list\[sim-1\]\.latncy: no such setting .*latency"),
            ({"latency": -1}, r"model_list\[sim-1\]\.latency: "),
            ({"latency": math.nan}, r"model_list\[sim-1\]\.latency: "),
            ({"latency": {"mean": 0}}, r"model_list\[sim-1\]\.latency: "),
            ({"failure_rate": 1.5}, r"model_list\[sim-1\]\.failure_rate: .*less than or equal to 1"),
            ({"errors": {"teapot": 1}}, r"model_list\[sim-1\]\.errors: "),
            ({"errors": {"rate_limited": 0}}, r"model_list\[sim-1\]\.errors: .*above zero"),
            ({"fail_first": "often"}, r"model_list\[sim-1\]\.fail_first: "),
        ],
    )
    def test_a_wrong_one_is_named(self, settings: dict[str, Any], named: str) -> None:
        with pytest.raises(errors.ConfigurationError, match=named) as caught:
            simulator(**settings)
        assert caught.value.param == next(iter(settings))

    async def test_closing_lets_go_of_nothing(self) -> None:
        provider = simulator(text="still here")
        await provider.aclose()
        assert await text(provider, asked()) == "still here"
