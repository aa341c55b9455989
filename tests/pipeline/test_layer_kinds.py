"""A stack for one kind of request has only the layers that have to do with it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler, stack
from gatewright.pipeline.reply import Reply
from gatewright.types.requests import EmbedRequest, GenerateRequest


class Passing:
    """Notes that a call came by."""

    def __init__(self) -> None:
        self.passed = 0

    def __call__(self, call: Call, proceed: Handler, /) -> Any:
        self.passed += 1
        return proceed(call)


class OfVectors(Passing):
    concerns = EmbedRequest


async def answer(call: Call, /) -> Reply[Any, Any]:
    return Reply.whole(call.id)


def ask(handler: Handler) -> Awaitable[Reply[Any, Any]]:
    return handler(Call(request=GenerateRequest(model="m"), id="req", started_at=0.0))


async def test_a_layer_of_the_other_kind_is_left_out():
    every, other = Passing(), OfVectors()
    await ask(stack([every, other], answer, GenerateRequest))
    await ask(stack([every, other], answer, EmbedRequest))
    assert (every.passed, other.passed) == (2, 1)


async def test_without_a_kind_all_are_there():
    every, other = Passing(), OfVectors()
    await ask(stack([every, other], answer))
    assert (every.passed, other.passed) == (1, 1)
