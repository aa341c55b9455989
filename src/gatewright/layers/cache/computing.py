"""A value that many want at once is computed once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gatewright.layers.cache.claims import Claim, Claims
from gatewright.layers.cache.turns import Abandoned, Turns
from gatewright.storage.keyvalue.protocol import Item

__all__ = ["Computing"]

Keep = Callable[[str, Item], Awaitable[None]]
Wait = Callable[..., Any]
"""Runs a coroutine function with its arguments to the end, in blocking code."""


class Computing:
    """Gives everyone who comes to the same computation its result, as bytes.

    `claims` are the turns among processes, where they share a store; `keep` keeps what was made.
    """

    def __init__(self, claims: Claims | None, keep: Keep, wait: Wait) -> None:
        self._turns = Turns()
        self.forget = self._turns.forget
        self._claims = claims
        self._keep = keep
        self._wait = wait

    def once(self, key: str, make: Callable[[], Item]) -> bytes | None:
        """Make the value of `key`, or wait for whoever does; None where that one went away: look again."""
        flight = self._turns.join(key, blocking=True)
        if flight is None:
            return make().data
        if not flight.mine:
            try:
                return flight.value.result()
            except Abandoned:
                return None
        token = self._turns.enter(key)
        try:
            claim: Claim | None = None if self._claims is None else self._wait(self._claims.claim, key)
            try:
                item = claim.item if claim is not None else None
                if item is None:
                    item = make()
                    self._wait(self._keep, key, item)
            finally:
                if self._claims is not None and claim is not None:
                    self._wait(self._claims.release, claim)
        except BaseException as error:
            self._turns.fail(key, flight, error)
            raise
        finally:
            self._turns.leave(token)
        self._turns.land(key, flight, item.data)
        return item.data

    async def once_async(self, key: str, make: Callable[[], Awaitable[Item]]) -> bytes | None:
        """Do what `once` does."""
        flight = self._turns.join(key)
        if flight is None:
            return (await make()).data
        if not flight.mine:
            try:
                return await asyncio.wrap_future(flight.value)
            except Abandoned:
                return None
        token = self._turns.enter(key)
        try:
            claim = None if self._claims is None else await self._claims.claim(key)
            try:
                item = claim.item if claim is not None else None
                if item is None:
                    item = await make()
                    await self._keep(key, item)
            finally:
                if self._claims is not None and claim is not None:
                    await self._claims.release(claim)
        except BaseException as error:
            self._turns.fail(key, flight, error)
            raise
        finally:
            self._turns.leave(token)
        self._turns.land(key, flight, item.data)
        return item.data
