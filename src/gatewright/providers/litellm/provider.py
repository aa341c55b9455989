"""One deployment, answered by litellm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from typing import Any

from gatewright.errors import DeadlineExceeded, GatewayError, ProviderTimeout, UnsupportedParameter
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.providers.litellm.answers import answer_of, embeddings_of
from gatewright.providers.litellm.arguments import (
    DEFAULT_TIMEOUT,
    embedding_arguments,
    fixed_arguments,
    generation_arguments,
)
from gatewright.providers.litellm.chunks import StreamReader
from gatewright.providers.litellm.clients import Lease
from gatewright.providers.litellm.errors import gateway_error
from gatewright.providers.litellm.library import know_local_model, library, openai_client, unlogged, unsupported_of
from gatewright.types.deployment import Deployment
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Answer, Chunk, Embeddings

__all__ = ["LiteLLMProvider"]

# Their legacy completions litellm sends by the openai package.
_TEXT_BY_OPENAI = frozenset({"openai", "text-completion-openai", "together_ai"})


class LiteLLMProvider:
    """Answers calls to `deployment` by way of litellm, whose own retries, caches and callbacks are off.

    An OpenAI parameter that the provider does not support is dropped, or refused as `UnsupportedParameter`.
    """

    def __init__(self, deployment: Deployment, drop_unsupported: bool = False) -> None:
        self._deployment = deployment
        self._drop = drop_unsupported
        self._fixed = fixed_arguments(deployment)
        self._lease = Lease()
        self._text_client: Any = None

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Answer one attempt."""
        litellm = await library()
        if self._lease.take():
            know_local_model(self._deployment.provider, self._deployment.model)
        if isinstance(call.request, EmbedRequest):
            return Reply.whole(await self._embed(litellm, call))
        if call.stream:
            deployment = self._deployment
            fold = AnswerFold(
                model=deployment.model,
                provider=deployment.provider,
                deployment_id=deployment.id,
                price=deployment.price,
                began=time.monotonic(),
            )
            return await Reply.begin(self._stream(litellm, call), fold)
        return Reply.whole(await self._generate(litellm, call), chunks_of)

    async def aclose(self) -> None:
        """Let litellm's connections on this loop go with the last provider that used them."""
        client, self._text_client = self._text_client, None
        if client is not None:
            await client.close()
        await self._lease.give_back()

    async def _generate(self, litellm: Any, call: Call) -> Answer:
        began = time.monotonic()
        arguments = self._generation_arguments(call)
        style = call.generation.style
        try:
            response = await self._within(call, _asked(litellm, style, arguments))
            return answer_of(response, self._deployment, style=style, began=began)
        except Exception as error:
            raise self._failure(error, arguments) from error

    async def _embed(self, litellm: Any, call: Call) -> Embeddings:
        began = time.monotonic()
        arguments = embedding_arguments(self._fixed, self._deployment, call, drop=self._dropping(call))
        try:
            response = await self._within(call, litellm.aembedding(**unlogged("aembedding", arguments)))
            return embeddings_of(response, self._deployment, len(call.embedding.inputs), began=began)
        except Exception as error:
            raise self._failure(error, arguments) from error

    async def _stream(self, litellm: Any, call: Call) -> AsyncGenerator[list[Chunk], None]:
        arguments = self._generation_arguments(call)
        stream: StreamReader | None = None
        try:
            response = await self._within(call, _asked(litellm, call.generation.style, arguments))
            stream = StreamReader(response, self._deployment)
            while (part := await self._within(call, stream.next())) is not None:
                yield stream.chunks(part)
            stream.check_finished()
        except Exception as error:
            raise self._failure(error, arguments, begun=stream is not None) from error
        finally:
            if stream is not None:
                await stream.aclose()

    def _generation_arguments(self, call: Call) -> dict[str, Any]:
        arguments = generation_arguments(self._fixed, self._deployment, call, drop=self._dropping(call))
        if call.generation.style == "text" and self._deployment.provider in _TEXT_BY_OPENAI:
            if self._text_client is None:
                self._text_client = openai_client(self._deployment, arguments["timeout"])
            arguments["client"] = self._text_client
        return arguments

    def _dropping(self, call: Call) -> bool:
        wanted = call.options.drop_params
        return self._drop if wanted is None else wanted

    async def _within(self, call: Call, work: Awaitable[Any]) -> Any:
        """Await one step of litellm's within the attempt's timeout and the call's deadline.

        Both are kept here: litellm would make a new HTTP client for every other timeout that it is given.
        """
        limit = self._deployment.timeout or DEFAULT_TIMEOUT
        left = call.deadline - time.monotonic() if call.deadline is not None else limit
        timer = asyncio.timeout(min(limit, left))
        try:
            async with timer:
                return await work
        except TimeoutError as error:
            if not timer.expired():
                raise
            late = DeadlineExceeded if left < limit else ProviderTimeout
            message = f"the provider did not answer within {min(limit, left):.3g} s"
            raise late(message, provider=self._deployment.provider, model=self._deployment.model) from error

    def _failure(self, error: Exception, arguments: dict[str, Any], *, begun: bool = False) -> GatewayError:
        failure = gateway_error(error, self._deployment, begun=begun)
        if isinstance(failure, UnsupportedParameter) and failure.param is None:
            failure.param = unsupported_of(self._deployment, arguments)
        return failure


def _asked(litellm: Any, style: str, arguments: dict[str, Any]) -> Awaitable[Any]:
    if style == "chat":
        return litellm.acompletion(**unlogged("acompletion", arguments))
    return litellm.atext_completion(**unlogged("atext_completion", arguments))
