"""Circuit breakers that processes share through Redis; no call waits for it."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from importlib.resources import files
from struct import Struct
from typing import Any, cast
from weakref import WeakValueDictionary

import msgspec

from gatewright.clock import MONOTONIC, Clock
from gatewright.layers.circuit_breaker.breaker import Transition
from gatewright.layers.circuit_breaker.guard import DeploymentBreaker
from gatewright.layers.circuit_breaker.probes import SharedProbes
from gatewright.storage.redis import RedisStore, Script

__all__ = ["SharedBreakers"]

EVERY_SECONDS = 0.5
# A breaker that is open for so much longer than others know is told again.
NEWS = 1.0

_TIMES = Struct("<dd")
_ENTRY = Struct("<ddd")


def _script(name: str) -> Script:
    return Script(files(__package__ or "").joinpath(f"{name}.lua").read_text("utf-8"))


PUBLISH, CHANGES, PROBES = _script("publish"), _script("changes"), _script("probes")


class _Known(msgspec.Struct, frozen=True):
    """What Redis has of a breaker; `open_until` is this process's clock, None where it is closed."""

    version: float
    open_until: float | None
    openings: int


class SharedBreakers:
    """Tells other processes at once when a breaker opens or closes, and hears from them twice a second.

    Each process decides by its own breakers, which follow, but asks before a probe goes. Where Redis fails each process
    is by itself, and tells what happened when Redis is back.
    """

    def __init__(self, store: RedisStore, clock: Clock = MONOTONIC) -> None:
        store.use(PUBLISH, CHANGES, PROBES, on_return=self._look)
        self._store = store
        self._now = clock.now
        self._keys = [store.key("breakers"), store.key("breakers:version")]
        self._guards: WeakValueDictionary[str, DeploymentBreaker] = WeakValueDictionary()
        self._known: dict[str, _Known] = {}
        self._version = 0.0
        self._home: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._probes = SharedProbes(
            store,
            PROBES,
            self._keys[0],
            clock=clock,
            can_tell=self._can_tell,
            known_version=self._known_version,
            learn=self._learn,
        )

    def add(self, guard: DeploymentBreaker) -> None:
        """Share a breaker, for as long as it is in use."""
        self._guards[guard.deployment_id] = guard
        guard.on_change = self._changed
        guard.others = self._probes
        guard.breaker.on_probe_end = partial(self._probes.ended, guard)
        known = self._known.get(guard.deployment_id)
        if known is not None:
            self._follow(guard, known)

    def tell(self, guard: DeploymentBreaker) -> None:
        """Tell the others at once until when a breaker is open."""
        self._publish(guard, b"open")

    def start(self) -> None:
        """Begin to tell and to listen on the running loop, which is home, where it has not begun."""
        if self._home is None:
            self._home = asyncio.get_running_loop()
            self._timer = self._home.call_later(0.0, self._ring)

    def close(self) -> None:
        """Listen no more; the store is closed by whoever opened it."""
        if self._timer is not None:
            self._timer.cancel()
        self._home = self._timer = None

    def abandon(self) -> None:
        """Do the same where the loop is gone, or is the parent process's."""
        self.close()
        self._probes.begin_anew()

    def _ring(self) -> None:
        if self._guards:
            self._look()
        self._timer = asyncio.get_running_loop().call_later(EVERY_SECONDS, self._ring)

    def _can_tell(self) -> bool:
        """Say whether Redis is of use, here: a breaker may be moved where home does not run, or before there is one."""
        running = asyncio._get_running_loop()  # pyright: ignore[reportPrivateUsage]
        return running is not None and running is self._home and not self._store.is_degraded

    def _look(self) -> None:
        """Ask what is new, and say what the others do not know."""
        if not self._can_tell():
            return
        self._store.run(CHANGES, self._keys, [b"%.0f" % self._version], self._heard)
        now = self._now()
        for guard in list(self._guards.values()):
            self._probes.keep(guard)
            known = self._known.get(guard.deployment_id)
            told_until = -math.inf if known is None or known.open_until is None else known.open_until
            if guard.breaker.state == "open" and guard.breaker.open_until > max(told_until, now) + NEWS:
                self._publish(guard, b"open")

    def _heard(self, reply: Any) -> None:
        if not isinstance(reply, list):
            return
        times, *entries = cast("list[bytes]", reply)
        there, version = _TIMES.unpack(times)
        if version == self._version:
            return
        self._version = version
        names = [name.decode() for name in entries[::2]]
        # What Redis has no more was closed long ago, or forgotten: then what is open is told again at the next look.
        gone = [name for name in self._known if name not in names]
        for name in gone:
            if not version or self._known[name].version <= version:
                del self._known[name]
        for name, packed in zip(names, entries[1::2], strict=True):
            self._learn(name, _ENTRY.unpack_from(packed), there)

    def _learn(self, deployment_id: str, entry: tuple[float, float, float], there: float) -> None:
        """Take note of what Redis has, unless newer is known; `there` is the time on its clock."""
        version, open_until, openings = entry
        known = self._known.get(deployment_id)
        if known is not None and version <= known.version:
            return
        until = self._now() + open_until - there if open_until else None
        known = self._known[deployment_id] = _Known(version, until, int(openings))
        guard = self._guards.get(deployment_id)
        if guard is not None:
            self._follow(guard, known)

    def _follow(self, guard: DeploymentBreaker, known: _Known) -> None:
        breaker, now = guard.breaker, self._now()
        if known.open_until is None:
            if breaker.state != "closed":
                breaker.close_elsewhere(now)
        elif breaker.state == "closed" or known.open_until > now:
            breaker.open_elsewhere(known.open_until, known.openings, now)
            guard.wake()  # for who waits for a probe that is due later now, or never

    def _changed(self, guard: DeploymentBreaker, transition: Transition) -> None:
        if transition.reason == "elsewhere" or transition.after == "half_open":
            return
        by_hand = transition.reason == "by_hand"
        self._publish(guard, b"open" if transition.after == "open" else b"force" if by_hand else b"close")

    def _publish(self, guard: DeploymentBreaker, what: bytes) -> None:
        if not self._can_tell():
            return
        deployment_id, breaker = guard.deployment_id, guard.breaker
        args = [
            deployment_id.encode(),
            what,
            b"%f" % max(0.0, breaker.open_until - self._now()),
            b"%d" % breaker.openings,
            b"%.0f" % self._known_version(deployment_id),
        ]
        keys = [*self._keys, self._probes.key(deployment_id)]
        self._store.run(PUBLISH, keys, args, lambda reply: self._published(deployment_id, reply))

    def _published(self, deployment_id: str, reply: Any) -> None:
        if isinstance(reply, bytes):
            there, _ = _TIMES.unpack_from(reply)
            self._learn(deployment_id, _ENTRY.unpack_from(reply, _TIMES.size), there)

    def _known_version(self, deployment_id: str) -> float:
        known = self._known.get(deployment_id)
        return known.version if known is not None else 0.0
