"""Calls that wait for room, and the deployments that come into question for them meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
from collections.abc import Callable, Generator, Sequence

from gatewright.clock import Clock
from gatewright.layers.routing.group import Group
from gatewright.layers.routing.state import DeploymentState

__all__ = ["Doormen"]

LOOK_EVERY = 0.05
"""Seconds between two looks at what has opened, while anybody waits."""
SHORTEST = 0.001

Show = Callable[[DeploymentState], bool]
"""Shows one call a deployment that may be asked now; True where the call goes there."""
Due = tuple[float, DeploymentState]
"""When a call may ask a deployment again at which it failed, by the clock's seconds."""


class Doormen:
    """One for each group at which anybody waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_group: dict[Group, Doorman] = {}

    @contextlib.contextmanager
    def at(self, group: Group, show: Show, again_at: Sequence[Due] = ()) -> Generator[None]:
        """Have a call shown what opens in a group, and what it may ask again, as long as this lasts."""
        if len(group.states) == 1:
            yield
            return
        doorman = self._by_group.get(group)
        if doorman is None or not doorman.is_here:
            doorman = self._by_group[group] = Doorman(group, self._clock)
        doorman.enter(show, again_at)
        try:
            yield
        finally:
            del doorman.waiting[show]
            if not doorman.waiting:
                doorman.go()
                if self._by_group.get(group) is doorman:
                    del self._by_group[group]


class Doorman:
    """Shows the calls that wait at a group what opens meanwhile, in the order in which they came.

    One after another: where a breaker lets only probes through, who is shown it next finds it closed again.
    """

    def __init__(self, group: Group, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self.waiting: dict[Show, None] = {}
        self._due: list[tuple[float, int, DeploymentState, Show]] = []
        self._numbers = itertools.count()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._watch())

    @property
    def is_here(self) -> bool:
        """Whether this is the loop on which it works."""
        return self._loop is asyncio.get_running_loop() and not self._task.done()

    def enter(self, show: Show, again_at: Sequence[Due]) -> None:
        """Take in a call."""
        self.waiting[show] = None
        for at, state in again_at:
            heapq.heappush(self._due, (at, next(self._numbers), state, show))

    def go(self) -> None:
        """Stop."""
        if not self._loop.is_closed():
            self._task.cancel()

    async def _watch(self) -> None:
        closed = self._closed()
        while True:
            now = self._clock.now()
            next_at = min([state.free_at(now) for state in closed] + [at for at, *_ in self._due[:1]], default=math.inf)
            await self._clock.sleep(max(SHORTEST, min(LOOK_EVERY, next_at - now)))
            still = self._closed()
            for state in closed - still:
                for show in list(self.waiting):
                    await self._show(state, show)
            while self._due and self._due[0][0] <= self._clock.now():
                _, _, state, show = heapq.heappop(self._due)
                await self._show(state, show)
            closed = still | self._closed()

    def _closed(self) -> set[DeploymentState]:
        now = self._clock.now()
        return {state for state in self._group.states if state.free_at(now) > now}

    async def _show(self, state: DeploymentState, show: Show) -> None:
        if show in self.waiting and show(state):
            await asyncio.sleep(0)  # until it is there
