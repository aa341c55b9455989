"""Guards around a scripted provider: what goes in, what comes out, whole and streamed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gatewright.clock import MONOTONIC
from gatewright.errors import ConnectionFailed, InputRejected, StreamInterrupted, ValidationFailed
from gatewright.layers.validation.config import ValidationConfig
from gatewright.layers.validation.input_layer import InputGuardLayer
from gatewright.layers.validation.manager import ValidationManager
from gatewright.layers.validation.output_layer import OutputGuardLayer
from gatewright.layers.validation.reasking import Reasking, ReaskingConfig
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events, GuardTripped
from gatewright.pipeline.reply import Reply
from gatewright.testing import ScriptedProvider
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings, ToolCall, ToolCallDelta
from gatewright.types.usage import Usage

SECRET = "key-1234567"
RULES: list[dict[str, Any]] = [
    {"pattern": r"\bkey-\d{7}\b", "name": "secret", "label": "SECRET", "severity": "critical"},
    {"pattern": r"\w+@corp\.com", "name": "mail", "label": "EMAIL", "severity": "medium"},
    {"pattern": r"\b5\d{5}\b", "name": "number", "label": "NUMBER", "severity": "medium"},
]


class Guarded:
    """A provider behind guards; `tripped` are their events."""

    def __init__(self, *script: Any, level: str = "moderate", on: str = "output", **guardrail: Any) -> None:
        config = ValidationConfig(
            guardrails=[{"name": "default", "on": on, "blocked_patterns": RULES, **guardrail}]  # type: ignore[list-item]
        )
        self.manager = ValidationManager(config, level=level)
        self.provider = ScriptedProvider(script)
        self.events = Events()
        self.tripped: list[Any] = []
        self.events.subscribe(self.tripped.append, GuardTripped)
        repairer = Reasking(ReaskingConfig(), MONOTONIC, self.manager.wanted)
        self.inward = InputGuardLayer(self.manager, self.events)
        self.outward = OutputGuardLayer(self.manager, self.events, repairer)

    async def reply(self, request: Any = None, *, stream: bool = False) -> Reply[Any, Any]:
        request = request or GenerateRequest(model="m", messages=[{"role": "user", "content": "hello"}])
        call = Call(request=request, id="req_1", started_at=0.0, stream=stream)

        async def within(call: Call, /) -> Reply[Any, Any]:
            return await self.outward(call, self.provider)

        return await self.inward(call, within)

    async def value(self, request: Any = None, *, stream: bool = False) -> Any:
        reply = await self.reply(request, stream=stream)
        async with reply:
            return await reply.value()

    async def chunks(self) -> tuple[list[Chunk], Answer, BaseException | None]:
        """Stream; give the chunks that came, what they add up to, and the error that it ended with."""
        got: list[Chunk] = []
        error: BaseException | None = None
        reply = await self.reply(stream=True)
        try:
            async with reply:
                while batch := await reply.batch():
                    got += batch
        except ValidationFailed as failed:
            error = failed
        assert reply.outcome is not None
        assert reply.outcome.error is error
        assert self.provider.open_streams == 0
        return got, reply.outcome.value, error


def texts(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


class TestWholeAnswers:
    async def test_what_is_clean_goes_through_as_it_is(self) -> None:
        answer = Answer(choices=[Choice(text="fine")], model="m", provider="p", raw=b"{}")
        assert await Guarded(answer).value() is answer

    async def test_the_severe_is_blocked_and_the_error_quotes_nothing(self) -> None:
        answer = Answer(choices=[Choice(text=f"it is {SECRET}.")], model="m", provider="p", usage=Usage(total_tokens=9))
        guarded = Guarded(answer)
        reply = await guarded.reply()
        with pytest.raises(ValidationFailed, match="the guardrail default stopped the answer: secret") as caught:
            async with reply:
                await reply.value()
        error = caught.value
        assert error.errors == ["secret: a blocked pattern in choices[0].text"]
        assert (error.text, error.status, error.code) == ("it is <SECRET_1>.", 422, "validation_failed")
        assert SECRET not in repr(error)
        assert SECRET not in repr(error.findings)
        # What it used is on record all the same.
        assert reply.outcome is not None
        assert (reply.outcome.state, reply.outcome.value.usage.total_tokens) == ("failed", 9)
        (event,) = guarded.tripped
        assert (event.rule, event.severity, event.action, event.side) == ("secret", "critical", "block", "output")
        assert event.place == "choices[0].text"
        assert SECRET not in repr(event)

    async def test_the_rest_is_redacted_wherever_it_is(self) -> None:
        choice = Choice(
            text="bob@corp.com",
            reasoning="eve@corp.com or bob@corp.com",
            refusal="no, bob@corp.com",
            tool_calls=(ToolCall(id="1", name="mail", arguments='{"to": "bob@corp.com", "n": 512345}'),),
            logprobs={"content": [{"token": "bob"}]},
            audio={"transcript": "bob at bob@corp.com", "data": "bob@corp.com"},
            extra={"annotations": [{"title": "bob@corp.com"}], "signature": "bob@corp.com"},
        )
        guarded = Guarded(Answer(choices=[choice], model="m", provider="p", raw=b'"bob@corp.com"'))
        answer = await guarded.value()
        (got,) = answer.choices
        assert got.reasoning == "<EMAIL_1> or <EMAIL_2>"
        assert (got.text, got.refusal) == ("<EMAIL_2>", "no, <EMAIL_2>")
        assert json.loads(got.tool_calls[0].arguments) == {"to": "<EMAIL_2>", "n": "<NUMBER_1>"}
        assert got.audio == {"transcript": "bob at <EMAIL_2>", "data": "bob@corp.com"}
        assert got.extra == {"annotations": [{"title": "<EMAIL_2>"}], "signature": "bob@corp.com"}
        assert (got.logprobs, answer.raw) == (None, None)
        assert len(got.warnings) == len(guarded.tripped) == 8

    async def test_lenient_only_warns(self) -> None:
        answer = Answer(choices=[Choice(text=SECRET)], model="m", provider="p", raw=b"{}")
        got = await Guarded(answer, level="lenient").value()
        assert (got.choices[0].text, got.raw) == (SECRET, b"{}")
        assert got.choices[0].warnings == ("secret: a blocked pattern in choices[0].text",)

    async def test_placeholders_do_not_collide_with_those_in_the_request(self) -> None:
        request = GenerateRequest(model="m", messages=[{"role": "user", "content": "<EMAIL_3> wrote"}])
        assert (await Guarded("bob@corp.com").value(request)).choices[0].text == "<EMAIL_4>"

    async def test_embeddings_are_left_alone(self) -> None:
        vectors = Embeddings(vectors=[[1.0]], model="m", provider="p")
        assert await Guarded(vectors).value(EmbedRequest(model="m", inputs=[SECRET])) is vectors

    async def test_a_form_that_was_asked_for_is_repaired_by_asking_again(self) -> None:
        params = {"response_format": {"type": "json_object"}}
        request = GenerateRequest(model="m", messages=[{"role": "user", "content": "x"}], params=params)
        guarded = Guarded("no braces at all", '{"a": 1}')
        reply = await guarded.reply(request)
        async with reply:
            assert (await reply.value()).choices[0].text == '{"a": 1}'
        assert (len(guarded.provider.calls), reply.attempts) == (2, 2)
        stubborn = Guarded("no", "never", "not now")
        with pytest.raises(ValidationFailed) as caught:
            await stubborn.value(request, stream=True)
        assert caught.value.text == "not now"

    async def test_a_validator_judges_every_choice_but_no_mere_tool_call(self) -> None:
        called = Choice(index=1, tool_calls=(ToolCall(id="1", name="f", arguments="{}"),))
        answer = Answer(choices=[Choice(text="good"), called], model="m", provider="p")
        guarded = Guarded(answer, answer)
        guarded.manager.get_guardrail().add_validator(lambda output: ("good" in output, "not good"))
        assert await guarded.value() is answer
        guarded.provider.extend(
            Answer(choices=[Choice(text="good"), Choice(index=1, text="bad")], model="m", provider="p")
        )
        await guarded.value()
        with pytest.raises(ValidationFailed, match=r"not good in choices\[1\]"):
            await guarded.value()


class TestStreams:
    async def test_what_cannot_become_a_match_goes_out_at_once(self) -> None:
        guarded = Guarded(["Hello there, ", "how are ", "you?", Chunk(finish_reason="stop")])
        got, whole, _ = await guarded.chunks()
        assert got[0].text == "Hello ther"
        assert (texts(got), whole.choices[0].text) == ("Hello there, how are you?",) * 2
        assert got[-1].finish_reason == "stop"

    async def test_what_is_forbidden_never_goes_out_and_the_provider_is_cancelled(self) -> None:
        parts = ["Well, ", "the key", " is ", "key-", "123", "4567", ", and", " more", " and more"]
        guarded = Guarded(parts)
        got, whole, error = await guarded.chunks()
        assert isinstance(error, ValidationFailed)
        assert texts(got) == whole.choices[0].text == error.text == "Well, the key is "
        assert (error.sent, guarded.tripped[0].sent) == (17, 17)
        assert "after 17 characters" in str(error)

    async def test_what_is_redacted_in_a_stream_is_what_is_in_the_whole(self) -> None:
        text = "To bob@corp.com and eve@corp.com, cc bob@corp.com."
        got, _, _ = await Guarded(list(text)).chunks()
        assert texts(got) == "To <EMAIL_1> and <EMAIL_2>, cc <EMAIL_1>."

    async def test_every_choice_and_every_kind_of_text_is_guarded_apart(self) -> None:
        parts = [
            Chunk(reasoning="bob@co"),
            Chunk(index=1, text="eve@"),
            Chunk(reasoning="rp.com thinks"),
            Chunk(text="hi "),
            Chunk(index=1, text="corp.com"),
            Chunk(tool_calls=(ToolCallDelta(index=0, id="1", name="f", arguments='{"n": 5123'),)),
            Chunk(tool_calls=(ToolCallDelta(index=0, arguments="45}"),)),
            Chunk(finish_reason="stop", index=1),
            Chunk(finish_reason="tool_calls"),
            Chunk(usage=Usage(total_tokens=3)),
        ]
        got, whole, _ = await Guarded(parts).chunks()
        first, second = whole.choices
        assert (first.reasoning, first.text, second.text) == ("<EMAIL_1> thinks", "hi ", "<EMAIL_2>")
        assert first.tool_calls == (ToolCall(id="1", name="f", arguments='{"n": "<NUMBER_1>"}'),)
        assert [chunk.usage for chunk in got if chunk.usage] == [Usage(total_tokens=3)]
        assert second.warnings == ("mail: a blocked pattern in choices[1].text",)

    async def test_a_forbidden_argument_of_a_tool_ends_the_stream(self) -> None:
        parts = [Chunk(tool_calls=(ToolCallDelta(index=0, id="1", name="f", arguments=f'{{"k": "{SECRET}"}}'),)), "x"]
        got, _, error = await Guarded(parts).chunks()
        assert isinstance(error, ValidationFailed)
        assert "tool_calls[0].arguments" in str(error)
        assert "key-" not in repr(got)

    async def test_strict_lets_nothing_out_before_all_is_clean(self) -> None:
        got, _, error = await Guarded(["a long and harmless beginning ", "bob@corp.com"], level="strict").chunks()
        assert isinstance(error, ValidationFailed)
        assert got == []
        got, _, error = await Guarded(["all ", "clean"], level="strict").chunks()
        assert (texts(got), error) == ("all clean", None)

    async def test_lenient_lets_all_out_at_once_and_warns_at_the_end(self) -> None:
        got, whole, _ = await Guarded(["key-", "1234567", " x"], level="lenient").chunks()
        assert [chunk.text for chunk in got] == ["key-", "1234567", " x", ""]
        assert whole.choices[0].warnings == ("secret: a blocked pattern in choices[0].text",)

    async def test_probabilities_go_out_with_their_text_and_never_with_what_is_redacted(self) -> None:
        def said(text: str) -> Chunk:
            return Chunk(text=text, logprobs={"content": [{"token": text}]})

        got, whole, _ = await Guarded([said("one "), said("two "), said("three")]).chunks()
        assert whole.choices[0].logprobs == {"content": [{"token": "one "}, {"token": "two "}, {"token": "three"}]}
        got, whole, _ = await Guarded([said("to "), said("bob@"), said("corp.com"), said(" now")]).chunks()
        assert "bob" not in repr(got)
        assert "corp" not in repr(got)

    async def test_a_stream_that_breaks_tells_only_what_had_gone_out(self) -> None:
        broken = StreamInterrupted("broke", text="Look at key-12345")
        broken.__cause__ = ConnectionFailed("gone")
        reply = await Guarded(["Look at ", "key-12345", broken]).reply(stream=True)
        with pytest.raises(StreamInterrupted) as caught:
            async with reply:
                await reply.value()
        assert caught.value.text == "Look at "

    async def test_leaving_early_closes_the_provider(self) -> None:
        guarded = Guarded(["a b c d e f", "g h i", "j"])
        reply = await guarded.reply(stream=True)
        async with reply:
            await reply.batch()
        assert reply.outcome is not None
        assert reply.outcome.state == "abandoned"
        assert guarded.provider.open_streams == 0

    async def test_a_validator_that_can_block_holds_the_stream(self) -> None:
        guarded = Guarded(["some ", "text"])
        guarded.manager.get_guardrail().add_validator(lambda output: (False, "no"))
        got, _, error = await guarded.chunks()
        assert isinstance(error, ValidationFailed)
        assert got == []

    async def test_a_validator_that_only_warns_does_not(self) -> None:
        guarded = Guarded(["some ", "text ", "goes out"])
        guarded.manager.get_guardrail().add_validator(lambda output: (False, "no"), "v", action="warn")
        got, whole, error = await guarded.chunks()
        assert (len(got) > 1, error) == (True, None)
        assert whole.choices[0].warnings == ("v: no in choices[0].text",)


class TestInput:
    async def test_what_may_not_go_in_does_not_reach_the_provider(self) -> None:
        guarded = Guarded("x", on="input")
        request = GenerateRequest(model="m", messages=[{"role": "user", "content": f"use {SECRET}"}])
        with pytest.raises(InputRejected, match=r"does not let this in: secret.*messages\[0\]\.content") as caught:
            await guarded.value(request)
        assert (caught.value.status, caught.value.param) == (400, "messages[0].content")
        assert SECRET not in repr(caught.value)
        assert guarded.provider.calls == []
        assert guarded.tripped[0].side == "input"

    async def test_the_rest_is_redacted_on_its_way_in(self) -> None:
        parts = [{"type": "text", "text": "eve@corp.com"}, {"type": "image_url", "image_url": {"url": "x"}}]
        tool = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"to": "bob@corp.com"}'}}
        messages = [
            {"role": "system", "content": "be nice"},
            {"role": "user", "content": "I am bob@corp.com"},
            {"role": "assistant", "content": None, "tool_calls": [tool]},
            {"role": "tool", "tool_call_id": "1", "content": parts},
        ]
        guarded = Guarded("fine", on="input")
        reply = await guarded.reply(GenerateRequest(model="m", messages=messages))
        sent = guarded.provider.calls[0].generation.messages
        assert sent[0] is messages[0]
        assert sent[1]["content"] == "I am <EMAIL_1>"
        assert sent[2]["tool_calls"][0]["function"]["arguments"] == '{"to": "<EMAIL_1>"}'
        assert sent[3]["content"] == [{"type": "text", "text": "<EMAIL_2>"}, parts[1]]
        assert messages[1]["content"] == "I am bob@corp.com"
        assert len(reply.warnings) == 3

    @pytest.mark.parametrize("prompt", ["bob@corp.com", ["bob@corp.com", "x"]])
    async def test_completions(self, prompt: Any) -> None:
        guarded = Guarded("fine", on="input")
        await guarded.value(GenerateRequest(model="m", style="text", prompt=prompt))
        assert "bob" not in repr(guarded.provider.calls[0].generation.prompt)

    async def test_embeddings(self) -> None:
        guarded = Guarded(Embeddings(vectors=[[1.0]], model="m", provider="p"), on="input")
        await guarded.value(EmbedRequest(model="m", inputs=["bob@corp.com", "clean"]))
        assert guarded.provider.calls[0].embedding.inputs == ["<EMAIL_1>", "clean"]
        with pytest.raises(InputRejected):
            await guarded.value(EmbedRequest(model="m", inputs=["clean", SECRET]))

    @pytest.mark.parametrize(
        "asked",
        [GenerateRequest(model="m", style="text", prompt=[1, 2]), EmbedRequest(model="m", inputs=["a", [1, 2]])],
    )
    async def test_tokens_cannot_be_judged_so_they_do_not_go_in(self, asked: Any) -> None:
        with pytest.raises(InputRejected, match="tokens cannot be judged: send text"):
            await Guarded("x", on="input").value(asked)

    async def test_a_validator_judges_each_text(self) -> None:
        guarded = Guarded("x", "y", on="input")

        async def polite(text: str) -> tuple[bool, str]:
            await asyncio.sleep(0)
            return "please" in text, "say please"

        guarded.manager.get_guardrail().add_validator(polite)
        with pytest.raises(InputRejected, match="say please"):
            await guarded.value()
        await guarded.value(GenerateRequest(model="m", messages=[{"role": "user", "content": "please"}]))
