"""A follower stays known, and what it has yet to read is kept, however slowly it is read itself."""

from __future__ import annotations

import asyncio

from gatewright.layers.deduplication.shared.board import FOLLOWING, SharedBoard

__all__ = ["Staying"]

AGAIN = FOLLOWING / 3
"""Seconds between two tellings that a follower is there."""


class Staying:
    """Tells Redis, while it is entered, that this process follows a flight; nobody waits for that."""

    def __init__(self, board: SharedBoard, name: str, leader: str) -> None:
        self._board = board
        self._name = name
        self._leader = leader
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(AGAIN, self._stay)

    def __exit__(self, *_: object) -> None:
        assert self._timer is not None
        self._timer.cancel()

    def _stay(self) -> None:
        self._board.stay(self._name, self._leader)
        self._timer = asyncio.get_running_loop().call_later(AGAIN, self._stay)
