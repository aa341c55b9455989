"""What is kept of a flight that landed: an answer to be given again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from gatewright.pipeline.reply import Reply
from gatewright.types.folding import chunks_of
from gatewright.types.results import Answer, Chunk, Embeddings

__all__ = ["Landed", "weight_of"]

# Bytes that an answer takes beside its texts, a chunk with its text, and a number of a vector: roughly.
_ANSWER, _CHUNK, _NUMBER = 1_024, 256, 32


class Landed(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An answer, until when (monotonic seconds) it is given again, and roughly how many bytes it takes.

    It has nothing of the call, of its request or of what made it, and nothing that Python's collector looks at.
    `parts` are the answer's choices or vectors: its lists, and each vector, are each caller's own: what one does to
    them is not to be seen by the others. `chunks` are those of a stream.
    """

    until: float
    key: Hashable
    call_id: str
    answer: Answer | Embeddings
    parts: tuple[Any, ...]
    chunks: Sequence[Chunk] | None
    weight: int

    def value(self, *, shared: bool = True) -> Any:
        """Give the whole answer; to those who share it, at no cost."""
        answer: Any = self.answer
        cost, saved = (0.0, answer.cost_usd) if shared else (answer.cost_usd, None)
        if type(answer) is Embeddings:  # a struct's `isinstance` is an abstract class's: it is slow
            return msgspec.structs.replace(answer, vectors=list(map(list, self.parts)), cost_usd=cost, saved_usd=saved)
        return msgspec.structs.replace(answer, choices=list(self.parts), cost_usd=cost, saved_usd=saved)

    def reply(self, *, shared: bool = True) -> Reply[Any, Any]:
        """Give the whole answer as a reply of a caller's own."""
        chunks = self.chunks
        if chunks is not None:
            reply: Reply[Any, Any] = Reply.whole(self.value(shared=shared), lambda _: chunks)
        else:
            reply = Reply.whole(self.value(shared=shared), chunks_of if type(self.answer) is Answer else None)
        if shared:
            reply.cached, reply.attempts = True, 0
        return reply


def weight_of(answer: Answer | Embeddings, chunks: Sequence[Chunk] | None) -> int:
    """Give roughly how many bytes an answer takes as long as it is kept."""
    weight = _ANSWER if chunks is None else _ANSWER + _CHUNK * len(chunks)
    if type(answer) is Answer:
        raw = answer.raw
        if type(raw) is bytes:
            return weight + 2 * len(raw)  # the texts are in it, too
        for choice in answer.choices:
            weight += 2 * len(choice.text)
        return weight
    assert type(answer) is Embeddings
    return weight + _NUMBER * sum(map(len, answer.vectors))
