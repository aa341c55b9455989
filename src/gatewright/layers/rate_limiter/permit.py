"""What a call asks of the limits, and what it is given."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Protocol

import msgspec

from gatewright.clock import MONOTONIC, Clock
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.limit_set import LimitSet
from gatewright.layers.rate_limiter.registry import EVERY, Name, Scope

__all__ = ["Claim", "Giver", "NoGiver", "Permit"]

ENDED = object()
"""The era of a permit that has ended, which is no giver's."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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

    def is_concerned_by(self, scope: Scope, name: Name) -> bool:
        """Say whether a limit of this name may apply to it, or a configuration of that name to its tenant."""
        if scope == "deployment":
            return self.deployment is not None and name in (self.deployment, EVERY)
        # An attempt has its tenant's weight and priority, so its tenant's configuration concerns it too.
        if scope == "global":
            return self.deployment is None
        if scope == "tenant_model":
            names = name if isinstance(name, tuple) else (EVERY, EVERY)
            return names[0] in (self.tenant, EVERY) and names[1] in (self.model, EVERY)
        own = {"tenant": self.tenant, "model": self.model, "key": self.key}[scope]
        return name in (own, EVERY)


class Giver(Protocol):
    """Whoever gives permits, and hears when one ends, if anyone waits. Its `era` changes when all of them are void."""

    era: object

    @property
    def waiters(self) -> Sized:
        """Those who wait for what permits have."""
        ...

    def now(self) -> float:
        """Give the clock's seconds."""
        ...

    def released(self, limits: Sequence[Limit]) -> None:
        """Let those go who wait for what a permit had."""
        ...


class NoGiver:
    """Gives permits for which nobody waits."""

    def __init__(self, clock: Clock = MONOTONIC) -> None:
        self.era = object()
        self.waiters = ()
        self.now = clock.now

    def released(self, limits: Sequence[Limit]) -> None:
        """There is nobody to let go."""


class Permit(msgspec.Struct, eq=False, gc=False):
    """A call's leave to go: charged a request, `tokens` and a place at every limit. The first ending counts.

    An ending that comes too late, or when its giver has forgotten it, gives False. `now` is for whoever has read the
    clock already.
    """

    limits: LimitSet
    tokens: float
    since: float
    giver: Giver
    era: object

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.era is self.giver.era

    def settle(self, used_tokens: float | None, now: float | None = None) -> bool:
        """Charge what was really used: the rest is given back, or what is missing is owed.

        None is "nobody knows" (a crash): what was reserved stays charged.
        """
        giver, limits = self.giver, self.limits
        if self.era is not giver.era:
            return False
        self.era = ENDED
        # `Limit.ended` and `Bucket.give_back`, written out: every call does this, at several limits.
        for limit in limits.all:
            limit.in_flight = left = limit.in_flight - 1
            if left >= limit.busy:
                limit.was_held((giver.now() if now is None else now) - self.since)
        if used_tokens is not None:
            unused = self.tokens - used_tokens
            if unused < 0.0:
                if now is None:
                    now = giver.now()
                for bucket in limits.tokens:
                    full_at = bucket.full_at
                    bucket.full_at = (full_at if full_at > now else now) - unused * bucket.each
            else:
                for bucket in limits.tokens:
                    bucket.full_at -= unused * bucket.each
        if giver.waiters:
            giver.released(limits.all)
        return True

    def cancel(self, now: float | None = None) -> bool:
        """Take everything back, the request too: the call was never sent."""
        if not self.undo(self.giver.now() if now is None else now):
            return False
        self.giver.released(self.limits.all)
        return True

    def undo(self, now: float) -> bool:
        """Do the same, and tell nobody: those who wait are asked anyway."""
        if self.era is not self.giver.era:
            return False
        self.era = ENDED
        for limit in self.limits.all:
            limit.ended(now - self.since)
        for bucket in self.limits.tokens:
            bucket.give_back(self.tokens, now)
        for bucket in self.limits.requests:
            bucket.give_back(1.0, now)
        return True
