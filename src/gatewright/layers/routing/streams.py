"""What becomes of a stream that fails after its first chunk: a clear end, or a continuation elsewhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec

from gatewright.errors import DeadlineExceeded, GatewayError, StreamInterrupted
from gatewright.pipeline.reply import Reply
from gatewright.types.estimates import estimated_usage
from gatewright.types.folding import AnswerFold
from gatewright.types.requests import GenerateRequest
from gatewright.types.results import Answer, Chunk
from gatewright.types.usage import Price, Usage, cost_of

__all__ = ["Lost", "Resume", "continued", "interrupted", "lost", "resumed"]

Resume = Callable[[GatewayError, str], Awaitable[Reply[Chunk, Answer]]]
"""Asks for the rest of an answer after an error, given the text so far."""
Lost = Callable[[Answer], tuple[Usage, float | None]]
"""Says what the part of an answer that broke used, and what it cost."""


def interrupted(error: BaseException, answer: Answer, *, request_id: str) -> BaseException:
    """Word the failure of a stream with the text that came before it; a deadline stays a deadline."""
    if isinstance(error, DeadlineExceeded | StreamInterrupted) or not isinstance(error, Exception):
        return error
    text = answer.choices[0].text
    interruption = StreamInterrupted(
        f"the stream broke after {len(text)} characters: {getattr(error, 'message', type(error).__name__)}",
        text=text,
        provider=answer.provider,
        model=answer.model,
        request_id=request_id,
        upstream_status=getattr(error, "upstream_status", None),
        upstream_code=getattr(error, "code", None),
    )
    interruption.__cause__ = error
    return interruption


def resumed(request: GenerateRequest, text: str) -> GenerateRequest:
    """Give the request with the text so far as the beginning of the answer that is asked for."""
    if not text:
        return request
    if request.style == "text":
        return msgspec.structs.replace(request, prompt=f"{request.prompt}{text}")
    return msgspec.structs.replace(request, messages=[*request.messages, {"role": "assistant", "content": text}])


def lost(answer: Answer, request: GenerateRequest, price: Price | None) -> tuple[Usage, float | None]:
    """Estimate what a part that broke used, where it never said, and what that cost."""
    first, usage = answer.choices[0], answer.usage
    if not usage.total_tokens:
        usage = estimated_usage(request, first.text + (first.reasoning or ""))
    return Usage(source="estimated") + usage, cost_of(usage, price)


async def continued(
    first: Reply[Chunk, Answer], request: GenerateRequest, resume: Resume, lost: Lost
) -> Reply[Chunk, Answer]:
    """Give a stream that goes on at another deployment when `first` breaks, as long as it is one text alone."""
    fold = _JoinedFold(first, lost)
    fold.plain = request.params.get("n") in (None, 1) and (request.style == "chat" or isinstance(request.prompt, str))
    reply = await Reply.begin(_joined(first, resume, fold), fold)
    reply.attempts = first.attempts
    return reply


async def _joined(part: Reply[Chunk, Answer], resume: Resume, fold: _JoinedFold) -> AsyncGenerator[list[Chunk], None]:
    while True:
        try:
            async with part:
                while batch := await part.batch():
                    fold.plain = fold.plain and all(_is_plain(chunk) for chunk in batch)
                    yield batch
            return
        except GatewayError as error:
            if not (fold.plain and error.retryable):
                raise
            fold.broke(part.partial())
            part = await resume(error, fold.text)
            fold.goes_on(part)


def _is_plain(chunk: Chunk) -> bool:
    """Say whether an answer can go on after `chunk`: it is text, and not the end."""
    return chunk.index == 0 and not chunk.tool_calls and chunk.finish_reason is None


class _JoinedFold(AnswerFold):
    """Adds up the chunks of several parts; what the broken parts used is estimated, since they never said."""

    __slots__ = ("_lost", "_lost_cost", "_lost_usage", "_part", "plain")

    def __init__(self, first: Reply[Chunk, Answer], lost: Lost) -> None:
        super().__init__(model="", provider="")
        self._part = first
        self._lost = lost
        self._lost_usage: Usage | None = None
        self._lost_cost: float | None = 0.0
        self.plain = True

    def broke(self, answer: Answer) -> None:
        """Count what the part that gave `answer` used."""
        usage, cost = self._lost(answer)
        self._lost_usage = usage if self._lost_usage is None else self._lost_usage + usage
        self._lost_cost = None if cost is None or self._lost_cost is None else self._lost_cost + cost

    def goes_on(self, part: Reply[Chunk, Answer]) -> None:
        """Take `part` for the one that is being read."""
        self._part = part

    def value(self) -> Answer:
        """Give the answer so far; it is said to be from where its last part came."""
        whole, last = super().value(), self._part.partial()
        whole.model, whole.provider, whole.deployment_id = last.model, last.provider, last.deployment_id
        whole.usage = last.usage if self._lost_usage is None else self._lost_usage + last.usage
        unknown = last.cost_usd is None or self._lost_cost is None
        whole.cost_usd = None if unknown else (last.cost_usd or 0.0) + (self._lost_cost or 0.0)
        return whole
