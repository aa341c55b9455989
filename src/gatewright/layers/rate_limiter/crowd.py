"""How much of a bounded queue each tenant takes up, and whose call makes room where there is none."""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Crowd"]


class Crowd:
    """Counts each tenant's calls.

    Where there is no room left, the tenant with most calls makes some for one with fewer (McKenney, "Stochastic
    Fairness Queueing", INFOCOM 1990): a flood fills the queue, and still nobody else is refused because of it.
    """

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[Hashable, int] = {}

    def add(self, tenant: Hashable) -> None:
        """Count one call more."""
        self._calls[tenant] = self._calls.get(tenant, 0) + 1

    def remove(self, tenant: Hashable) -> None:
        """Count one call less."""
        left = self._calls[tenant] - 1
        if left:
            self._calls[tenant] = left
        else:
            del self._calls[tenant]

    def heaviest(self) -> Hashable:
        """Give the tenant with most calls."""
        return max(self._calls, key=self._calls.__getitem__)

    def gives_way(self, tenant: Hashable, room: int) -> bool:
        """Whether there is a tenant that has so many of the `room` places that it can leave one to `tenant`."""
        own = self._calls.get(tenant, 0)
        # The first is for speed: who has its equal share already is refused without looking for the heaviest.
        return own * len(self._calls) < room and self._calls[self.heaviest()] > own + 1
