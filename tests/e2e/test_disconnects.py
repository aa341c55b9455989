"""Clients that go away take their calls with them, through a second gateway over real HTTP."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.serve import running
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold
from gatewright.types.results import Chunk

USER = [{"role": "user", "content": "Good morning"}]


class Hanging:
    """A provider that says one word where it streams, and then nothing until it is cancelled."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, call: Call, /) -> Reply:
        if call.stream:
            return await Reply.begin(self.words(), AnswerFold(model="m", provider="hanging"))
        await self.hang()
        raise AssertionError("it hangs until it is cancelled")

    async def words(self) -> AsyncGenerator[list[Chunk], None]:
        yield [Chunk(text="One ")]
        await self.hang()

    async def hang(self) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def served(provider: Hanging, *, far: bool) -> AsyncIterator[openai.AsyncOpenAI]:
    """Give a client of a server of `provider`, or of a second server that asks the first."""
    entry = {"model_name": "m", "litellm_params": {"model": "hanging/m"}}
    first = LiteLLMGateway(
        GatewayConfig(model_list=[entry], close_timeout=0), providers={"hanging": lambda _: provider}
    )
    async with running(first) as url:
        if not far:
            async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
                yield client
            return
        entry = {"model_name": "m", "litellm_params": {"model": "openai/m", "api_base": f"{url}/v1", "api_key": "x"}}
        second = LiteLLMGateway(GatewayConfig(model_list=[entry], close_timeout=0))
        async with (
            running(second) as its_url,
            openai.AsyncOpenAI(base_url=f"{its_url}/v1", api_key="x", max_retries=0) as client,
        ):
            yield client


@pytest.mark.parametrize("far", [False, True])
async def test_a_whole_call_is_cancelled_upstream(far: bool) -> None:
    provider = Hanging()
    async with served(provider, far=far) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="m", messages=USER, timeout=0.3)
        async with asyncio.timeout(5):
            await provider.ended.wait()


@pytest.mark.parametrize("far", [False, True])
async def test_a_stream_left_in_the_middle_is_cancelled_upstream(far: bool) -> None:
    provider = Hanging()
    async with served(provider, far=far) as client:
        stream = await client.chat.completions.create(model="m", messages=USER, stream=True)
        async with stream:
            assert (await anext(aiter(stream))).choices[0].delta.content == "One "
            assert not provider.ended.is_set()
        async with asyncio.timeout(5):
            await provider.ended.wait()


async def test_a_stream_left_before_its_first_word_is_cancelled_upstream() -> None:
    provider = Hanging()
    provider.words = lambda: _silent(provider)  # type: ignore[method-assign]
    async with served(provider, far=False) as client:
        asking = asyncio.create_task(client.chat.completions.create(model="m", messages=USER, stream=True))
        await provider.asked.wait()
        asking.cancel()
        async with asyncio.timeout(5):
            await provider.ended.wait()


async def _silent(provider: Hanging) -> AsyncGenerator[list[Chunk], None]:
    await provider.hang()
    yield []


async def test_embeddings_and_completions_too() -> None:
    for ask in ("embeddings", "completions"):
        provider = Hanging()
        async with served(provider, far=False) as client:
            with pytest.raises(openai.APITimeoutError):
                if ask == "embeddings":
                    await client.embeddings.create(model="m", input="x", timeout=0.3)
                else:
                    await client.completions.create(model="m", prompt="x", timeout=0.3)
            async with asyncio.timeout(5):
                await provider.ended.wait()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_stops_tells_the_calls_under_way(stream: bool) -> None:
    provider = Hanging()
    if stream:
        provider.words = lambda: _silent(provider)  # type: ignore[method-assign]
    entry = {"model_name": "m", "litellm_params": {"model": "hanging/m"}}
    gateway = LiteLLMGateway(
        GatewayConfig(model_list=[entry], close_timeout=0.1), providers={"hanging": lambda _: provider}
    )
    async with running(gateway) as url:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0)
        asking = asyncio.create_task(client.chat.completions.create(model="m", messages=USER, stream=stream))
        await provider.asked.wait()
    async with client:
        with pytest.raises(openai.InternalServerError) as caught:
            await asking
    assert caught.value.code == "gateway_closed"
    assert caught.value.status_code == 503


async def test_a_stream_that_the_stopping_server_cuts_off_says_so() -> None:
    provider = Hanging()
    entry = {"model_name": "m", "litellm_params": {"model": "hanging/m"}}
    gateway = LiteLLMGateway(
        GatewayConfig(model_list=[entry], close_timeout=0.1), providers={"hanging": lambda _: provider}
    )
    async with openai.AsyncOpenAI(base_url="http://127.0.0.1", api_key="x", max_retries=0) as client:
        async with running(gateway) as url:
            stream = await client.with_options(base_url=f"{url}/v1").chat.completions.create(
                model="m", messages=USER, stream=True
            )
            words = aiter(stream)
            assert (await anext(words)).choices[0].delta.content == "One "
        with pytest.raises(openai.APIError) as caught:
            await anext(words)
        await stream.close()
    assert caught.value.code in ("gateway_closed", "stream_interrupted")
