from __future__ import annotations

from typing import Any

import pytest

from gatewright.errors import RateLimited
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler, stack
from gatewright.pipeline.reply import Reply
from gatewright.testing import ScriptedProvider
from gatewright.types.requests import GenerateRequest

CALL = Call(request=GenerateRequest(model="m"), id="req_1", started_at=1.0)


class Noted:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        self.log.append(f"{self.name} in")
        reply = await proceed(call.replace(id=f"{call.id}.{self.name}"))
        reply.when_settled(lambda _: self.log.append(f"{self.name} settled"))
        self.log.append(f"{self.name} out")
        return reply


async def test_layers_stand_around_the_handler_the_outermost_first() -> None:
    log: list[str] = []
    provider = ScriptedProvider(["hello"])
    reply = await stack([Noted("a", log), Noted("b", log)], provider)(CALL)
    async with reply:
        assert (await reply.value()).choices[0].text == "hello"
    assert log == ["a in", "b in", "b out", "a out", "a settled", "b settled"]
    assert [call.id for call in provider.calls] == ["req_1.a.b"]


async def test_an_error_passes_every_layer() -> None:
    log: list[str] = []
    handler = stack([Noted("a", log)], ScriptedProvider([RateLimited("slow down")]))
    with pytest.raises(RateLimited):
        await handler(CALL)
    assert log == ["a in"]


async def test_no_layers_are_the_handler_itself() -> None:
    provider = ScriptedProvider([])
    assert stack([], provider) is provider
