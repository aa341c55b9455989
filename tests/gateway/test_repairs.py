"""Answers of the wrong form, repaired through the whole gateway."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, Field

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import DeadlineExceeded, InvalidProviderResponse, ProviderUnavailable, ValidationFailed
from gatewright.layers.validation.formats import LengthFormat, WordingFormat
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import AttemptEnded, Event, GuardTripped
from gatewright.testing import ScriptedProvider, Step
from gatewright.types.results import Answer, Choice, Chunk, ToolCall
from gatewright.types.usage import Usage

USAGE = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)


class City(BaseModel):
    name: str
    people: int = Field(ge=0)


RIGHT = '{"name": "Paris", "people": 2100000}'


def answer(*texts: str, cost: float = 0.01) -> Answer:
    choices = [Choice(index=place, text=text, finish_reason="stop") for place, text in enumerate(texts)]
    return Answer(choices=choices, model="m", provider="scripted", usage=USAGE, cost_usd=cost)


def gateway(model: ScriptedProvider, **settings: Any) -> LiteLLMGateway:
    settings = {"enable_validation": True, "max_retries": 0, **settings}
    config = GatewayConfig(providers=["scripted"], default_model="scripted/any", **settings)
    return LiteLLMGateway(config, providers={"scripted": lambda _: model})


async def ask(model: ScriptedProvider, *, asks: int | None = None, **params: Any) -> Any:
    settings = {} if asks is None else {"validation": {"repair": {"max_asks": asks}}}
    async with gateway(model, **settings) as one:
        return await one.generate_async("How large is Paris?", **params)


async def test_the_model_is_asked_again_for_the_class_that_was_wanted() -> None:
    model = ScriptedProvider([answer('{"name": "Paris"}'), answer(RIGHT)])
    response = await ask(model, response_format=City)
    assert response.parsed == City(name="Paris", people=2_100_000)
    assert (response.attempts, response.usage.total_tokens) == (2, 10)
    assert response.cost_usd == pytest.approx(0.02)
    again: Call = model.calls[1]
    assert again.generation.messages[-1]["content"].startswith(
        "Your answer cannot be used as it is:\n- $.people: Field"
    )
    assert again.generation.params["response_format"] == model.calls[0].generation.params["response_format"]
    assert again.deadline == model.calls[0].deadline


async def test_what_can_be_mended_is_not_asked_for_again() -> None:
    model = ScriptedProvider([answer(f"Sure!\n```json\n{RIGHT}\n```")])
    response = await ask(model, response_format=City)
    assert response.parsed == City(name="Paris", people=2_100_000)
    assert response.text == RIGHT
    assert response.attempts == 1
    assert response.warnings == ["response-format: the JSON stands in a code fence in choices[0].text"]


async def test_it_is_given_up_with_every_fault_and_the_last_text() -> None:
    model = ScriptedProvider([answer("no"), answer("nor this"), answer('{"people": -1}')])
    with pytest.raises(ValidationFailed) as raised:
        await ask(model, response_format=City)
    assert len(model.calls) == 3
    assert raised.value.text == '{"people": -1}'
    assert [error.split(" in ")[0] for error in raised.value.errors] == [
        "response-format: $.name: Field required",
        "response-format: $.people: Input should be greater than or equal to 0",
    ]


@pytest.mark.parametrize("asks", [0, 1, 3])
async def test_it_is_asked_so_often_and_no_more(asks: int) -> None:
    model = ScriptedProvider([answer("no")] * 10)
    with pytest.raises(ValidationFailed):
        await ask(model, asks=asks, response_format={"type": "json_object"})
    assert len(model.calls) == 1 + asks


async def test_without_validation_the_first_answer_is_the_last() -> None:
    model = ScriptedProvider([answer("no"), answer(RIGHT)])
    with pytest.raises(InvalidProviderResponse):
        async with gateway(model, enable_validation=False) as one:
            await one.generate_async("How large is Paris?", response_format=City)
    assert len(model.calls) == 1


async def test_a_tool_call_and_a_refusal_are_not_held_to_the_form() -> None:
    tool = ToolCall(id="1", name="look_up", arguments="{}")
    for choice in (Choice(tool_calls=(tool,), finish_reason="tool_calls"), Choice(refusal="I will not.")):
        model = ScriptedProvider([Answer(choices=[choice], model="m", provider="scripted")])
        response = await ask(model, response_format=City)
        assert response.parsed is None
        assert len(model.calls) == 1


async def test_of_several_choices_the_right_ones_stay_and_are_guarded() -> None:
    model = ScriptedProvider([answer("no", '{"mail": "ada@example.org"}', '{"a": 1}'), answer('{"b": 2}')])
    response = await ask(model, response_format={"type": "json_object"}, n=3)
    assert [choice.text for choice in response.choices] == ['{"b": 2}', '{"mail": "<EMAIL_1>"}', '{"a": 1}']
    assert [choice.index for choice in response.choices] == [0, 1, 2]
    assert "n" not in model.calls[1].generation.params


async def test_each_request_is_an_attempt_of_the_call() -> None:
    model = ScriptedProvider([answer("no"), answer(RIGHT)])
    heard: list[Event] = []
    async with gateway(model) as one:
        one.subscribe(heard.append)
        response = await one.generate_async("How large is Paris?", response_format=City)
    attempts = [event for event in heard if isinstance(event, AttemptEnded)]
    assert [event.call_id for event in attempts] == [response.request_id] * 2
    tripped = [event for event in heard if isinstance(event, GuardTripped)]
    assert [(event.rule, event.action, event.place) for event in tripped] == [
        ("response-format", "repair", "choices[0].text")
    ]


async def test_what_a_repair_fails_with_does_not_hide_what_was_wrong() -> None:
    model = ScriptedProvider([answer("no"), ProviderUnavailable("down")])
    with pytest.raises(ValidationFailed, match="it is not JSON"):
        await ask(model, response_format={"type": "json_object"})


async def test_it_ends_with_the_calls_deadline() -> None:
    """Either there was no time to ask again, or the last request was cut off: on a slow machine one cannot tell."""
    model = ScriptedProvider([answer("no")] * 10, delay=0.4)
    with pytest.raises((ValidationFailed, DeadlineExceeded)):
        await ask(model, asks=10, timeout=1.0, response_format={"type": "json_object"})
    assert len(model.calls) <= 3


async def test_a_secret_is_blocked_and_not_repaired() -> None:
    key = "AKIA" + "Q7ZJ2N5XV4B3K6WD"
    model = ScriptedProvider([answer(f"aws_access_key_id = {key}"), answer(RIGHT)])
    with pytest.raises(ValidationFailed) as raised:
        await ask(model, response_format={"type": "json_object"})
    assert len(model.calls) == 1
    assert key not in raised.value.text + str(raised.value.errors)


async def test_a_rule_of_the_guardrails_is_repaired_in_the_same_way() -> None:
    model = ScriptedProvider([answer("one two three four"), answer("one two")])
    async with gateway(model) as one:
        one.validation_manager.get_guardrail().add_rule(LengthFormat(max_words=3))
        response = await one.generate_async("Be short.")
    assert (response.text, response.attempts) == ("one two", 2)
    assert "The answer has at most 3 words." in model.calls[1].generation.messages[-1]["content"]


@pytest.mark.parametrize("level", ["strict", "moderate"])
async def test_a_stream_is_held_back_until_it_has_its_form(level: str) -> None:
    model = ScriptedProvider([["no ", "JSON"], answer(RIGHT)])
    async with gateway(model, validation_level=level) as one:
        stream = one.generate_stream("How large is Paris?", response_format=City)
        text = "".join([piece async for piece in stream])
    assert text == RIGHT
    assert len(model.calls) == 2
    assert model.calls[1].stream is False


async def test_a_stream_that_asks_for_no_form_goes_by() -> None:
    model = ScriptedProvider([["{", '"a": 1', Chunk(text="}", finish_reason="stop")]])
    async with gateway(model) as one:
        pieces = [piece async for piece in one.generate_stream("How large is Paris?")]
    assert "".join(pieces) == '{"a": 1}'


async def test_at_lenient_nothing_is_repaired_but_warned_of() -> None:
    model = ScriptedProvider([answer("no")])
    async with gateway(model, validation_level="lenient") as one:
        response = await one.generate_async("How large is Paris?", response_format={"type": "json_object"})
    assert (response.text, response.attempts) == ("no", 1)
    assert response.warnings == ["response-format: it is not JSON in choices[0].text"]


async def test_a_format_of_the_configuration() -> None:
    validation = {"guardrails": [{"name": "json", "models": ["scripted/*"], "use": [{"json": {"root": "array"}}]}]}
    model = ScriptedProvider([answer("no"), answer("[1]")])
    async with gateway(model, validation=validation) as one:
        response = await one.generate_async("A list.")
    assert response.text == "[1]"


async def test_many_calls_at_once_are_repaired_each_for_itself() -> None:
    class Counting(ScriptedProvider):
        async def __call__(self, call: Call, /) -> Any:
            self.calls.append(call)
            asked = call.generation.messages[0]["content"]
            first = len(call.generation.messages) == 1
            return self._whole(answer("no" if first else f'{{"asked": "{asked}"}}'))

    model = Counting([])
    async with gateway(model, deduplication={"enabled": False}) as one:
        responses = await asyncio.gather(
            *(one.generate_async(f"number {n}", response_format={"type": "json_object"}) for n in range(40))
        )
    assert [response.text for response in responses] == [f'{{"asked": "number {n}"}}' for n in range(40)]
    assert len(model.calls) == 80


async def test_an_answer_is_not_shared_with_who_is_under_another_policy() -> None:
    model = ScriptedProvider([answer("the codename"), answer("nothing")])
    async with gateway(model) as one:
        assert (await one.generate_async("What is it?")).text == "the codename"
        rule = WordingFormat(must_not_contain=("codename",))
        one.validation_manager.register_guardrail(Guardrail("names", [rule]))
        assert (await one.generate_async("What is it?")).text == "nothing"
        assert (await one.generate_async("What is it?")).text == "nothing"
    assert len(model.calls) == 2


STEPS: list[list[Step]] = [[answer(RIGHT)], [answer("no"), answer(RIGHT)]]


@pytest.mark.parametrize("script", STEPS)
def test_from_a_thread_without_a_loop(script: list[Step]) -> None:
    with gateway(ScriptedProvider(script)) as one:
        assert one.generate("How large is Paris?", response_format=City).parsed.people == 2_100_000
