"""The simulated provider."""

from __future__ import annotations

import hashlib
import math
import struct
import time
from collections.abc import AsyncGenerator, Sequence
from random import Random
from typing import Any

from gatewright.clock import MONOTONIC, Clock
from gatewright.errors import BadRequest
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.providers.simulator.config import Lognormal, SimulatorConfig
from gatewright.providers.simulator.failures import Failures
from gatewright.providers.simulator.writing import Draft, Writer, prompts_of, token_count
from gatewright.types.deployment import Deployment
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings, ToolCallDelta
from gatewright.types.usage import Usage, cost_of

__all__ = ["SimulatorProvider"]

MOST_CHOICES = 128


class SimulatorProvider:
    """Answers as a deployment's settings say (`SimulatorConfig`): deterministic answers, seeded failures."""

    def __init__(self, deployment: Deployment, *, clock: Clock = MONOTONIC) -> None:
        self._deployment = deployment
        self._config = config = SimulatorConfig.of(deployment)
        self._clock = clock
        self._random = Random(config.seed)
        self._failures = Failures(config, deployment, self._random)
        self._writer = Writer(config)
        self._answered = 0

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Answer one attempt."""
        if (latency := self._latency()) > 0:
            await self._wait(latency)
        if (error := self._failures.of_call()) is not None:
            raise error
        request = call.request
        if isinstance(request, EmbedRequest):
            return Reply[Any, Embeddings].whole(self._embedded(request))
        drafts, usage = self._written(request)
        self._answered += 1
        if call.stream:
            return await self._streamed(drafts, usage)
        return Reply.whole(self._answer(drafts, usage), chunks_of)

    async def aclose(self) -> None:
        """Let go of nothing: there is nothing held."""

    def _latency(self) -> float:
        latency = self._config.latency
        if isinstance(latency, Lognormal):
            return self._random.lognormvariate(math.log(latency.mean) - latency.sigma**2 / 2, latency.sigma)
        return latency

    async def _wait(self, latency: float) -> None:
        timeout = self._deployment.timeout
        if timeout is not None and latency > timeout:
            await self._clock.sleep(timeout)
            raise self._failures.too_slow(timeout)
        await self._clock.sleep(latency)

    def _params(self, given: dict[str, Any]) -> dict[str, Any]:
        return {**self._deployment.params, **given} if self._deployment.params else given

    def _written(self, request: GenerateRequest) -> tuple[list[Draft], Usage]:
        params = self._params(request.params)
        prompts, prompt_tokens = prompts_of(request)
        n = params.get("n") or 1
        if not isinstance(n, int) or not 1 <= n <= MOST_CHOICES:
            raise BadRequest(f"n must be a whole number from 1 to {MOST_CHOICES}", param="n")
        drafts = [self._writer.draft(prompt, place, params) for prompt in prompts for place in range(n)]
        tokens = sum(draft.tokens for draft in drafts)
        return drafts, Usage(prompt_tokens=prompt_tokens, completion_tokens=tokens, total_tokens=prompt_tokens + tokens)

    def _cost(self, usage: Usage) -> float | None:
        return cost_of(usage, self._deployment.price)

    def _answer(self, drafts: Sequence[Draft], usage: Usage) -> Answer:
        return Answer(
            choices=[
                Choice(
                    index=index,
                    text="".join(draft.pieces),
                    finish_reason=draft.finish_reason,
                    tool_calls=draft.tool_calls,
                )
                for index, draft in enumerate(drafts)
            ],
            model=self._deployment.model,
            provider=self._deployment.provider,
            deployment_id=self._deployment.id,
            usage=usage,
            cost_usd=self._cost(usage),
            id=f"sim-{self._answered}",
            created=int(time.time()),
        )

    async def _streamed(self, drafts: Sequence[Draft], usage: Usage) -> Reply[Chunk, Answer]:
        chunks = self._chunks(drafts, usage)
        breaks_after = self._failures.of_stream(len(chunks))
        deployment = self._deployment
        fold = AnswerFold(
            model=deployment.model,
            provider=deployment.provider,
            deployment_id=deployment.id,
            price=deployment.price,
        )
        return await Reply.begin(self._batches(chunks, breaks_after), fold)

    def _chunks(self, drafts: Sequence[Draft], usage: Usage) -> list[Chunk]:
        common: dict[str, Any] = {
            "model": self._deployment.model,
            "id": f"sim-{self._answered}",
            "created": int(time.time()),
        }
        chunks: list[Chunk] = []
        for index, draft in enumerate(drafts):
            chunks += [Chunk(text=piece, index=index, **common) for piece in draft.pieces]
            tools = tuple(
                ToolCallDelta(index=place, id=tool.id, name=tool.name, arguments=tool.arguments)
                for place, tool in enumerate(draft.tool_calls)
            )
            last = usage if index == len(drafts) - 1 else None
            chunks.append(Chunk(index=index, finish_reason=draft.finish_reason, tool_calls=tools, usage=last, **common))
        return chunks

    async def _batches(self, chunks: list[Chunk], breaks_after: int | None) -> AsyncGenerator[list[Chunk], None]:
        """Give each chunk when it is due; those due at once, as on a slow loop or at a high pace, come together."""
        seconds = 1 / pace if (pace := self._config.tokens_per_second) else 0.0
        clock, started = self._clock, self._clock.now()
        ready: list[Chunk] = []
        for place, chunk in enumerate(chunks[:breaks_after]):
            due = started + place * seconds
            if ready and due > clock.now():
                yield ready
                ready = []
            if (wait := due - clock.now()) > 0:
                await clock.sleep(wait)
            ready.append(chunk)
        yield ready
        if breaks_after is not None:
            raise self._failures.broken_stream()

    def _embedded(self, request: EmbedRequest) -> Embeddings:
        dimensions = self._params(request.params).get("dimensions") or self._config.dimensions
        if not isinstance(dimensions, int) or not 1 <= dimensions <= 65_536:
            raise BadRequest("dimensions must be a whole number from 1 to 65536", param="dimensions")
        tokens = sum(token_count(text) if isinstance(text, str) else len(text) for text in request.inputs)
        usage = Usage(prompt_tokens=tokens, total_tokens=tokens)
        return Embeddings(
            vectors=[_unit_vector(text, dimensions) for text in request.inputs],
            model=self._deployment.model,
            provider=self._deployment.provider,
            deployment_id=self._deployment.id,
            usage=usage,
            cost_usd=self._cost(usage),
        )


def _unit_vector(text: str | list[int], dimensions: int) -> list[float]:
    """Give the direction that a hash of the text points in."""
    content = text if isinstance(text, str) else repr(text)
    digest = hashlib.shake_128(content.encode("utf-8", "replace")).digest(2 * dimensions)
    values = struct.unpack(f"<{dimensions}h", digest)
    length = math.hypot(*values) or 1.0
    return [value / length for value in values]
