"""Deployments without room: how their limits say so, and who knows when there is some."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from gatewright.errors import GatewayError, ProviderUnavailable, RateLimited
from gatewright.pipeline.call import Call

__all__ = ["NO_LIMITS", "NoRoom", "Rooms", "soonest"]


class NoRoom(RateLimited):
    """A deployment's own limit has no room for an attempt now; routing waits for it, or for another one's."""

    asked = False


class Rooms(Protocol):
    """Whoever knows the room of deployments, and lets calls wait for it."""

    def tokens_of(self, call: Call) -> float:
        """Give the tokens for which a call needs room."""
        ...

    async def first(self, call: Call, deployments: Sequence[str]) -> str:
        """Wait for the first of these deployments that has room, and give its id: the room is held for the call.

        The call waits in the line of each; `RateLimited`, with the soonest `retry_after`, where none is to be had.
        """
        ...

    def join(self, call: Call, deployment: str) -> bool:
        """Have a call that waits wait at one more deployment; True where it goes there now."""
        ...

    def give_back(self, call: Call) -> None:
        """Give back what is still held for a call: it did not go to the deployment, or that has no limits."""
        ...


class _NoLimits:
    """Deployments without limits, of which none says `NoRoom`."""

    def tokens_of(self, call: Call) -> float:
        """Give what needs the least room."""
        return 1.0

    async def first(self, call: Call, deployments: Sequence[str]) -> str:
        """Give the first of them."""
        return deployments[0]

    def join(self, call: Call, deployment: str) -> bool:
        """Say no: nobody waits."""
        return False

    def give_back(self, call: Call) -> None:
        """There is nothing to give back."""


NO_LIMITS: Rooms = _NoLimits()


def soonest(refusals: Sequence[GatewayError]) -> GatewayError:
    """Give what a call is told that was refused at all of its places: when it may come back first, if at all."""
    for error in refusals:
        if not isinstance(error, RateLimited | ProviderUnavailable):
            return error
    return min(refusals, key=lambda error: math.inf if error.retry_after is None else error.retry_after)
