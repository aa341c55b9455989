"""Recorded answers with tools, several choices and reasoning go through the default guards unharmed."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gatewright.errors import GatewayError
from gatewright.layers.validation.config import ValidationConfig
from gatewright.layers.validation.manager import ValidationManager
from gatewright.layers.validation.output_layer import OutputGuardLayer
from gatewright.pipeline.events import Events
from gatewright.pipeline.reply import Reply
from gatewright.providers.http.aiohttp_client import AiohttpClient
from gatewright.providers.openai_wire.provider import OpenAIWire
from gatewright.types.results import Answer, Chunk
from recorded import lanes
from recorded.exchanges import Exchange, replayed
from recorded.server import Replay

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXCHANGES = [
    exchange
    for exchange in replayed()
    if exchange.format.startswith("openai") and "embeddings" not in exchange.endpoint
]
PLACEHOLDER = re.compile(r"<[A-Z_]+_\d+>")


@pytest.fixture(scope="session")
def layer() -> OutputGuardLayer:
    return OutputGuardLayer(ValidationManager(ValidationConfig(), level="moderate"), Events())


one_by_one = functools.partial(pytest.mark.parametrize, "exchange", ids=lambda exchange: exchange.key)


@one_by_one(EXCHANGES)
async def test_what_is_recorded_goes_through(
    exchange: Exchange, replay: Replay, http: AiohttpClient, layer: OutputGuardLayer
) -> None:
    provider = OpenAIWire(lanes.direct_deployment(exchange, replay.url), http, drop_unsupported=True)
    call = lanes.call_of(exchange)
    replay.play(exchange)
    plain = await read(provider(call))
    replay.play(exchange)
    guarded = await read(layer(call, provider))
    if isinstance(plain, str):
        assert guarded == plain  # the same error, and no other
        return
    assert isinstance(guarded, Answer), guarded
    for before, after in zip(texts(plain), texts(guarded), strict=True):
        assert before == after or is_redacted(before, after)
    if list(texts(plain)) == list(texts(guarded)):
        assert bare(guarded) == bare(plain)


async def read(reply: Any) -> Answer | str:
    """Give what a reply adds up to, or the kind of the error that it fails with."""
    try:
        got: Reply[Chunk, Answer] = await reply
        async with got:
            return await got.value()
    except GatewayError as error:
        return type(error).__name__


def texts(answer: Answer) -> Iterator[str]:
    for choice in answer.choices:
        yield from (choice.text, choice.reasoning or "", choice.refusal or "")
        yield from (tool.arguments for tool in choice.tool_calls)


def is_redacted(before: str, after: str) -> bool:
    """Say whether the only difference is that something has placeholders in its place."""
    kept = [re.escape(part) for part in PLACEHOLDER.split(after)]
    return len(kept) > 1 and re.fullmatch(".+".join(kept), before, re.DOTALL) is not None


def bare(answer: Answer) -> dict[str, Any]:
    """Give an answer as plain data, but for the provider's own bytes."""
    return msgspec.to_builtins(msgspec.structs.replace(answer, raw=None))


async def test_there_are_tools_several_choices_and_streams_among_them() -> None:
    assert sum(exchange.tools for exchange in EXCHANGES) > 20
    assert sum(exchange.stream for exchange in EXCHANGES) > 20
    assert any((exchange.request or {}).get("n", 1) > 1 for exchange in EXCHANGES)
