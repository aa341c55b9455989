"""The flights of all processes, in Redis: who leads each, and what came of it."""

from __future__ import annotations

import asyncio
import time
from importlib.resources import files
from typing import Any, cast

from gatewright.layers.deduplication.shared.parts import GONE, Part, decoded
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.redis import RedisStore, Script

__all__ = ["LEASE", "SharedBoard"]

LEASE = 5.0
"""Seconds after which a leader of which nothing is heard has lost its flight to whoever asks next."""
KEPT = 60.0
"""Seconds for which what came stays readable of a flight that nobody leads any more."""
FOLLOWING = 2.0
"""Seconds for which a follower is believed to be there that has not read on."""
READ_ON = 3.0
"""Seconds for which those who follow can read the end, however short the window."""
LOOK = 0.1
"""Seconds between two looks whether Redis is back."""
AGE = 16
"""Characters of the seconds since a flight landed, before the call that led it."""


def _script(name: str) -> Script:
    return Script(files(__package__ or "").joinpath(f"{name}.lua").read_text("utf-8"))


JOIN, PUBLISH, READ, STAY = _script("join"), _script("publish"), _script("read"), _script("stay")


class SharedBoard:
    """Asks Redis in scripts of one step each; where Redis is slow or gone it says so within its patience."""

    def __init__(self, store: RedisStore, window: float) -> None:
        store.use(JOIN, PUBLISH, READ, STAY, on_return=self._end_what_was_left)
        self._store = store
        self._window = window
        self._left: dict[tuple[str, str], float] = {}  # flights and their calls, by when that happened

    async def join(self, name: str, call_id: str) -> tuple[str, float] | None:
        """Give the call that leads, and the seconds since it landed; None where Redis does not answer.

        It is `call_id` where nobody led.
        """
        if self._store.is_degraded:
            return None
        keys = self._keys(name)
        args = [call_id.encode(), _milliseconds(LEASE), b"%f" % self._window, _milliseconds(FOLLOWING)]
        try:
            reply = await self._asked(JOIN, keys, args)
        except asyncio.CancelledError:
            self._end(name, call_id)  # it may lead by now, or in a moment
            raise
        if reply is None:
            self.left_open(name, call_id)
        try:
            return (reply[AGE:].decode(), float(reply[:AGE])) if isinstance(reply, bytes) else None
        except ValueError:
            return None  # somebody else's value is there

    async def publish(self, name: str, call_id: str, how: str, told: int, *parts: bytes) -> int | None:
        """Add parts to the `told` ones and keep the lead (`how`: "fly"), or end it ("land", "fail").

        Gives whether somebody follows, 1 or 0; -1 where the lead is lost, or what was told; None where Redis does not
        answer: then it may be told again.
        """
        if self._store.is_degraded:
            return None
        kept = KEPT if how == "fly" else max(self._window, READ_ON)
        args = [call_id.encode(), _milliseconds(LEASE), how.encode(), _milliseconds(kept), b"%d" % told, *parts]
        reply = await self._asked(PUBLISH, [*self._keys(name), self._came(name, call_id)], args)
        return reply if reply is None or isinstance(reply, int) else -1

    async def read(self, name: str, leader: str, read: int) -> tuple[int, list[Part]] | None:
        """Give whether that call still leads, 1 or 0, and the parts that are new; None where Redis does not answer.

        It is -1 where Redis has lost what was read before.
        """
        lead, followed = self._keys(name)
        args = [leader.encode(), b"%d" % read, _milliseconds(FOLLOWING)]
        reply = await self._asked(READ, [lead, self._came(name, leader), followed], args)
        if not isinstance(reply, list):
            return None
        led, *parts = cast("list[Any]", reply)
        return led, [decoded(part) for part in parts]

    def stay(self, name: str, leader: str) -> None:
        """Have a follower believed to be there, and what it has yet to read kept."""
        lead, followed = self._keys(name)
        args = [leader.encode(), _milliseconds(FOLLOWING), _milliseconds(LEASE)]
        self._store.run(STAY, [lead, self._came(name, leader), followed], args, lambda _: None)

    async def back(self, seconds: float) -> bool:
        """Wait until Redis is back; False where it is not within that time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self._store.is_degraded:
                return True
            await asyncio.sleep(LOOK)
        return False

    def left_open(self, name: str, call_id: str) -> None:
        """Remember what Redis may have for led, of which nobody will tell the end; past its lease it is forgotten."""
        left, now = self._left, time.monotonic()
        left.pop((name, call_id), None)  # the newest stand last
        left[name, call_id] = now
        while now - left[oldest := next(iter(left))] > LEASE:
            del left[oldest]

    def _end_what_was_left(self) -> None:
        """Tell Redis, which is back, so that nobody waits for those."""
        left, self._left = self._left, {}
        for name, call_id in left:
            self._end(name, call_id)

    def _end(self, name: str, call_id: str) -> None:
        """Have a call lead no more, if it does: whoever follows it asks anew."""

        def told(reply: Any) -> None:
            if isinstance(reply, StoreUnavailable):
                self.left_open(name, call_id)

        args = [call_id.encode(), _milliseconds(LEASE), b"fail", _milliseconds(READ_ON), b"0", GONE]
        self._store.run(PUBLISH, [*self._keys(name), self._came(name, call_id)], args, told)

    def _keys(self, name: str) -> list[bytes]:
        return [self._store.key(f"flight:{name}"), self._store.key(f"flight:{name}:followed")]

    def _came(self, name: str, leader: str) -> bytes:
        return self._store.key(f"flight:{name}:{leader}")

    async def _asked(self, script: Script, keys: list[bytes], args: list[bytes]) -> Any:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._store.run(script, keys, args, lambda reply: None if answered.done() else answered.set_result(reply))
        reply = await answered
        return None if isinstance(reply, StoreUnavailable) else reply


def _milliseconds(seconds: float) -> bytes:
    return b"%d" % round(seconds * 1000)
