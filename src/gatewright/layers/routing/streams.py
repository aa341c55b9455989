"""What becomes of a stream that fails after its first chunk: a clear end, or a continuation elsewhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from gatewright.errors import DeadlineExceeded, GatewayError, StreamInterrupted
from gatewright.pipeline.reply import Reply
from gatewright.types.estimates import text_tokens
from gatewright.types.folding import AnswerFold
from gatewright.types.results import Answer, Chunk
from gatewright.types.usage import Usage

__all__ = ["continued", "interrupted"]

Resume = Callable[[GatewayError, str], Awaitable[Reply[Chunk, Answer]]]


def interrupted(error: BaseException, answer: Answer) -> BaseException:
    """Word the failure of a stream with the text that came before it; a deadline stays a deadline."""
    if isinstance(error, DeadlineExceeded | StreamInterrupted) or not isinstance(error, Exception):
        return error
    text = answer.choices[0].text
    interruption = StreamInterrupted(
        f"the stream broke after {len(text)} characters: {getattr(error, 'message', type(error).__name__)}",
        text=text,
        provider=answer.provider,
        model=answer.model,
        request_id=getattr(error, "request_id", None),
        upstream_status=getattr(error, "upstream_status", None),
        upstream_code=getattr(error, "code", None),
    )
    interruption.__cause__ = error
    return interruption


async def continued(first: Reply[Chunk, Answer], resume: Resume) -> Reply[Chunk, Answer]:
    """Give a stream that goes on at another deployment when `first` breaks, as long as it is text alone."""
    fold = _JoinedFold(first)
    reply = await Reply.begin(_joined(first, resume, fold), fold)
    reply.attempts = first.attempts
    reply.on_failure = interrupted
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
    return chunk.index == 0 and not chunk.tool_calls


class _JoinedFold(AnswerFold):
    """Adds up the chunks of several parts; what the broken parts used is estimated, since they never said."""

    __slots__ = ("_lost_cost", "_lost_usage", "_part", "plain")

    def __init__(self, first: Reply[Chunk, Answer]) -> None:
        super().__init__(model="", provider="")
        self._part = first
        self._lost_usage: Usage | None = None
        self._lost_cost = 0.0
        self.plain = True

    def broke(self, answer: Answer) -> None:
        tokens = text_tokens(answer.choices[0].text)
        lost = answer.usage if answer.usage.total_tokens else Usage(completion_tokens=tokens, total_tokens=tokens)
        lost = Usage(source="estimated") + lost
        self._lost_usage = lost if self._lost_usage is None else self._lost_usage + lost
        self._lost_cost += answer.cost_usd or 0.0

    def goes_on(self, part: Reply[Chunk, Answer]) -> None:
        self._part = part

    def value(self) -> Answer:
        whole, last = super().value(), self._part.partial()
        whole.model, whole.provider, whole.deployment_id = last.model, last.provider, last.deployment_id
        whole.usage = last.usage if self._lost_usage is None else self._lost_usage + last.usage
        whole.cost_usd = None if last.cost_usd is None else last.cost_usd + self._lost_cost
        return whole
