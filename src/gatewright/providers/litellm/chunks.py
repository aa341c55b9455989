"""litellm's streams as ours."""

from __future__ import annotations

from typing import Any

from gatewright.errors import InvalidProviderResponse
from gatewright.providers.litellm.answers import extra_of, finish_reason_of, is_hosted_tool, plain
from gatewright.providers.litellm.counts import tier_of, usage_of
from gatewright.providers.litellm.library import ends_with_done
from gatewright.types.deployment import Deployment
from gatewright.types.results import Chunk, ToolCallDelta

__all__ = ["StreamReader"]


class StreamReader:
    """Reads the parts of one stream of litellm's; `text` streams are those of the legacy completions."""

    __slots__ = ("_deployment", "_hosted", "_parts", "_stream")

    def __init__(self, stream: Any, deployment: Deployment) -> None:
        # A stream of legacy completions wraps one of chat chunks, or the openai package's own.
        wrapped = stream if hasattr(stream, "received_finish_reason") else stream.completion_stream
        self._parts = stream
        self._stream = wrapped
        self._deployment = deployment
        self._hosted: set[int] = set()

    async def next(self) -> Any:
        """Give litellm's next part; None at the end."""
        return await anext(self._parts, None)

    def chunks(self, part: Any) -> list[Chunk]:
        """Give a part as chunks: one for each choice, and one for the usage."""
        chunks = [self._chunk(choice, part) for choice in part.choices]
        usage = getattr(part, "usage", None)
        if usage is not None:
            counted = usage_of(usage, estimated=not self._reported(), tier=tier_of(part))
            chunks.append(Chunk(usage=counted, model=part.model, id=part.id, created=part.created))
        return chunks

    def check_finished(self) -> None:
        """Raise where the provider's stream broke off: litellm makes up a reason to stop."""
        stream = self._stream
        if not hasattr(stream, "received_finish_reason"):
            return
        if stream.received_finish_reason is not None or stream.intermittent_finish_reason is not None:
            return
        # Some servers of OpenAI's format never give a reason, but count the tokens when they are done.
        if ends_with_done(self._deployment.provider) and self._reported():
            return
        # Bedrock's Titan gives its reason in a field that litellm does not read.
        if "titan" not in self._deployment.model:
            raise InvalidProviderResponse("the provider's stream ended in the middle")

    async def aclose(self) -> None:
        """Close the provider's connection, which ends a generation that is still under way."""
        close = getattr(self._stream, "aclose", None) or self._stream.close
        await close()

    def _reported(self) -> bool:
        """Say whether the provider sent usage; where it did not, litellm counted tokens itself.

        Streams of legacy completions do not tell, so they count as estimated.
        """
        parts = getattr(self._stream, "chunks", ())
        return any(getattr(part, "usage", None) is not None for part in reversed(parts))

    def _chunk(self, choice: Any, part: Any) -> Chunk:
        delta = getattr(choice, "delta", None)
        reason = finish_reason_of(choice.finish_reason)
        if delta is None:
            text = choice.text or ""
            return Chunk(text=text, index=choice.index, finish_reason=reason, model=part.model, id=part.id)
        tools = getattr(delta, "tool_calls", None)
        logprobs = getattr(choice, "logprobs", None)
        audio = getattr(delta, "audio", None)
        return Chunk(
            text=delta.content or "",
            index=choice.index,
            finish_reason=reason,
            tool_calls=self._tool_deltas(tools) if tools else (),
            reasoning=getattr(delta, "reasoning_content", None),
            refusal=getattr(delta, "refusal", None),
            logprobs=plain(logprobs) if logprobs is not None else None,
            audio=plain(audio) if audio is not None else None,
            extra=extra_of(delta),
            model=part.model,
            id=part.id,
            created=part.created,
            system_fingerprint=part.system_fingerprint,
        )

    def _tool_deltas(self, tools: list[Any]) -> tuple[ToolCallDelta, ...]:
        deltas: list[ToolCallDelta] = []
        for tool in tools:
            if is_hosted_tool(tool):
                self._hosted.add(tool.index)
            elif tool.id is not None:
                self._hosted.discard(tool.index)
            if tool.index not in self._hosted:
                made = tool.function
                text = made.arguments or ""
                deltas.append(ToolCallDelta(index=tool.index, id=tool.id, name=made.name, arguments=text))
        return tuple(deltas)
