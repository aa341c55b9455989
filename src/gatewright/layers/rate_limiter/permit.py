"""What a call asks of the limits, and what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from gatewright.layers.rate_limiter.ledger import Reservation
from gatewright.layers.rate_limiter.limit import Limit

__all__ = ["Claim", "Permit", "Releases"]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Room for one request of `tokens` at every limit that applies: to the tenant, the model and the key, all of them.

    Where `deployment` is named it is one attempt of a call, to which that deployment's limit applies and no other.
    `deadline` is the clock's seconds.
    """

    call_id: str
    tokens: float
    tenant: str | None = None
    model: str | None = None
    key: str | None = None
    deployment: str | None = None
    deadline: float | None = None


class Releases(Protocol):
    """Whoever gives permits, and hears when one ends. Its `era` changes when all that were given are void."""

    era: object

    def now(self) -> float:
        """Give the clock's seconds."""
        ...

    def released(self, limits: Sequence[Limit]) -> None:
        """Let those go who wait for what a permit had."""
        ...


class Permit:
    """A call's leave to go: what it is charged at every limit. The first ending counts, any other gives False."""

    __slots__ = ("_era", "_giver", "_reservation")

    def __init__(self, giver: Releases, reservation: Reservation) -> None:
        self._giver = giver
        self._era = giver.era
        self._reservation = reservation

    @property
    def tokens(self) -> float:
        """The tokens reserved."""
        return self._reservation.tokens

    def settle(self, used_tokens: float | None) -> bool:
        """Charge what was really used; None is "nobody knows", and what was reserved stays charged."""
        giver = self._giver
        if self._era is not giver.era or not self._reservation.settle(used_tokens, giver.now()):
            return False
        giver.released(self._reservation.limits)
        return True

    def cancel(self) -> bool:
        """Take everything back, the request too: the call was never sent."""
        giver = self._giver
        if self._era is not giver.era or not self._reservation.cancel(giver.now()):
            return False
        giver.released(self._reservation.limits)
        return True
