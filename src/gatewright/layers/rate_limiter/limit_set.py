"""The limits that apply to a call, found once and kept for all calls like it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from gatewright.layers.rate_limiter.bucket import Bucket
from gatewright.layers.rate_limiter.limit import Limit

__all__ = ["LimitSet"]


class LimitSet(Sequence[Limit]):
    """Limits, and their buckets side by side; `is_current` until one of them changes or is forgotten.

    `all` are the limits themselves, for whoever has no time to ask for them one by one. `patience` is the shortest
    `queue_timeout` among them, in seconds: as long a call waits for them; infinity where none of them is waited for.
    `queue` says whether calls wait for each of them.
    """

    __slots__ = ("all", "is_current", "patience", "queue", "requests", "tokens")

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.all: tuple[Limit, ...] = tuple(limits)
        self.requests: tuple[Bucket, ...] = tuple([one.requests for one in self.all if one.requests is not None])
        self.tokens: tuple[Bucket, ...] = tuple([one.tokens for one in self.all if one.tokens is not None])
        configs = [one.config for one in self.all]
        self.patience = min((one.queue_timeout for one in configs if one.queues), default=math.inf)
        self.queue = all(one.queues for one in configs)
        self.is_current = True

    @overload
    def __getitem__(self, index: int) -> Limit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Limit]: ...
    def __getitem__(self, index: int | slice) -> Limit | Sequence[Limit]:
        return self.all[index]

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[Limit]:
        return iter(self.all)
