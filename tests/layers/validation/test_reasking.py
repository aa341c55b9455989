"""Bounded repair: the model is asked again, so often and no more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import RateLimited
from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.formats.json import JsonFormat
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import Action, Severity, ValidationLevel
from gatewright.layers.validation.reasking import Reasking, ReaskingConfig
from gatewright.layers.validation.repairing import Judge, Repaired
from gatewright.layers.validation.rules import Context
from gatewright.pipeline.call import Call
from gatewright.testing import FakeClock, ScriptedProvider, Step
from gatewright.types.requests import GenerateRequest
from gatewright.types.results import Answer, Choice
from gatewright.types.usage import Usage

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
GUARDRAIL = Guardrail("desk", [JsonFormat(schema=SCHEMA)], level=ValidationLevel.MODERATE)
USAGE = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)


def answer(*texts: str, cost: float | None = 0.01) -> Answer:
    choices = [Choice(index=place, text=text, finish_reason="stop") for place, text in enumerate(texts)]
    return Answer(choices=choices, model="m", provider="p", usage=USAGE, cost_usd=cost)


def call(**changes: Any) -> Call:
    request = GenerateRequest(model="m", messages=[{"role": "user", "content": "a?"}], params={"n": 2, "seed": 1})
    return Call(**{"request": request, "id": "req_1", "started_at": 999.0, **changes})


def judge_by(guardrail: Guardrail) -> Judge:
    async def judge(given: Answer) -> tuple[Answer, list[Finding]]:
        choices: list[Choice] = []
        findings: list[Finding] = []
        for place, choice in enumerate(given.choices):
            result = await guardrail.panel.validate(choice.text, GUARD_CONTEXT, f"choices[{place}].text")
            choices.append(Choice(index=choice.index, text=result.text, finish_reason=choice.finish_reason))
            findings += result.findings
        return Answer(
            choices=choices, model=given.model, provider=given.provider, usage=given.usage, cost_usd=given.cost_usd
        ), findings

    return judge


GUARD_CONTEXT = Context()
judge = judge_by(GUARDRAIL)


async def repaired(
    first: Answer, script: list[Step], *, clock: FakeClock | None = None, asked: Call | None = None, **config: Any
) -> tuple[Repaired, ScriptedProvider]:
    provider = ScriptedProvider(script)
    repair = Reasking(ReaskingConfig(**config), clock or FakeClock(), lambda finding: "JSON, please.")
    mine, findings = await judge(first)
    return await repair(asked or call(), provider, mine, findings, judge), provider


async def test_the_model_is_told_what_was_wrong() -> None:
    done, provider = await repaired(answer('{"a": "x"}'), [answer('{"a": 1}')])
    assert [choice.text for choice in done.answer.choices] == ['{"a": 1}']
    assert done.findings == []
    request = provider.calls[0].generation
    assert [message["role"] for message in request.messages] == ["user", "assistant", "user"]
    assert request.messages[1]["content"] == '{"a": "x"}'
    assert "- $.a: the value is not of type" in request.messages[2]["content"]
    assert "JSON, please." in request.messages[2]["content"]
    assert request.params == {"seed": 1}


async def test_usage_cost_and_attempts_are_added_up() -> None:
    done, provider = await repaired(answer("no"), [answer("no"), answer('{"a": 1}')])
    assert done.attempts == len(provider.calls) == 2
    assert done.answer.usage.total_tokens == 15
    assert done.answer.cost_usd == pytest.approx(0.03)
    unknown, _ = await repaired(answer("no", cost=None), [answer('{"a": 1}')])
    assert unknown.answer.cost_usd is None


async def test_each_time_the_last_answer_is_shown() -> None:
    _, provider = await repaired(answer("no"), [answer("nor this"), answer('{"a": 1}')])
    shown = [asked.generation.messages[1]["content"] for asked in provider.calls]
    assert shown == ["no", "nor this"]
    assert len(provider.calls[1].generation.messages) == 3


async def test_no_two_requests_are_the_same_though_the_answer_is() -> None:
    _, provider = await repaired(answer("no"), [answer("no"), answer("no"), answer("no")], max_asks=3)
    assert len({asked.generation.messages[2]["content"] for asked in provider.calls}) == 3


async def test_it_gives_up_with_the_last_answer_and_its_faults() -> None:
    done, provider = await repaired(answer("no"), [answer("nor this"), answer('{"a": "y"}')])
    assert len(provider.calls) == 2
    assert done.answer.choices[0].text == '{"a": "y"}'
    assert [finding.fatal for finding in done.findings] == [True]


async def test_only_the_choice_that_failed_is_asked_for() -> None:
    done, provider = await repaired(answer('{"a": 1}', "no", '{"a": 3}'), [answer('{"a": 2}')])
    assert [(choice.index, choice.text) for choice in done.answer.choices] == [
        (0, '{"a": 1}'),
        (1, '{"a": 2}'),
        (2, '{"a": 3}'),
    ]
    assert len(provider.calls) == 1


async def test_the_bound_is_for_all_choices_together() -> None:
    done, provider = await repaired(answer("no", "no"), [answer("no"), answer('{"a": 2}'), answer('{"a": 2}')])
    assert len(provider.calls) == 2
    assert {finding.place for finding in done.findings} == {"choices[1].text"}


async def test_what_is_blocked_is_not_asked_for_again() -> None:
    blocked = Finding(rule="secret", message="a key", severity=Severity.CRITICAL, action=Action.BLOCK)
    wrong = Finding(rule="json", message="no", severity=Severity.HIGH, action=Action.REPAIR)
    repair = Reasking(ReaskingConfig(), FakeClock(), lambda finding: "")
    done = await repair(call(), ScriptedProvider([]), answer("no"), [wrong, blocked], judge)
    assert done.findings == [wrong, blocked]


async def test_a_request_that_fails_ends_it() -> None:
    error = RateLimited("too much")
    error.attempts = 3
    done, provider = await repaired(answer("no"), [error])
    assert len(provider.calls) == 1
    assert done.attempts == 3
    assert done.answer.choices[0].text == "no"
    assert done.findings[0].fatal


@pytest.mark.parametrize("bound", [{"max_asks": 1}, {"max_tokens": 5}, {"max_cost_usd": 0.01}])
async def test_what_it_may_cost_is_bounded(bound: dict[str, Any]) -> None:
    done, provider = await repaired(answer("no"), [answer("no"), answer('{"a": 1}')], **{"max_asks": 5, **bound})
    assert len(provider.calls) == 1
    assert done.findings[0].fatal


async def test_it_does_not_ask_where_there_is_no_time() -> None:
    # The first answer took a second, and half of one is left.
    done, provider = await repaired(answer("no"), [answer('{"a": 1}')], asked=call(deadline=1000.5))
    assert provider.calls == []
    assert done.findings[0].fatal
    _, provider = await repaired(answer("no"), [answer('{"a": 1}')], asked=call(deadline=1001.5))
    assert len(provider.calls) == 1
    assert provider.calls[0].deadline == 1001.5


async def test_a_text_to_be_continued_is_not_asked_for_again() -> None:
    legacy = call(request=GenerateRequest(model="m", style="text", prompt="Once"))
    done, provider = await repaired(answer("no"), [answer('{"a": 1}')], asked=legacy)
    assert provider.calls == []
    assert done.findings[0].fatal


async def test_a_caller_who_leaves_is_let_go() -> None:
    provider = ScriptedProvider([answer('{"a": 1}')], gate=asyncio.Event())
    repair = Reasking(ReaskingConfig(), FakeClock(), lambda finding: "")
    mine, findings = await judge(answer("no"))
    task = asyncio.ensure_future(repair(call(), provider, mine, findings, judge))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


TEXTS = st.sampled_from(['{"a": 1}', '```json\n{"a": 2}\n```', "no", '{"a": "x"}', "", "{'a': 3}", '{"b": 1}'])


@given(
    st.lists(TEXTS, min_size=1, max_size=3),
    st.lists(TEXTS | st.just(RateLimited("no")), min_size=12, max_size=12),
    st.integers(0, 4),
)
def test_it_is_bounded_and_ends_with_what_is_valid_or_with_faults(
    first: list[str], script: list[str | RateLimited], most: int
) -> None:
    steps: list[Step] = [answer(one) if isinstance(one, str) else one for one in script]
    done, provider = asyncio.run(repaired(answer(*first), steps, max_asks=most))
    assert len(provider.calls) <= most
    rule = JsonFormat(schema=SCHEMA)
    wrong = [choice for choice in done.answer.choices if rule.judge(choice.text)]
    fatal = {finding.place for finding in done.findings if finding.fatal}
    assert len(fatal) == len(wrong)
    if not any(rule.judge(text) for text in first):
        assert provider.calls == []
        assert [choice.text for choice in done.answer.choices] == first
