"""Circuit breakers that processes share through Redis; no call waits for it."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from importlib.resources import files
from struct import Struct
from typing import Any, Literal, cast
from weakref import WeakValueDictionary

import msgspec

from gatewright.clock import MONOTONIC, Clock
from gatewright.layers.circuit_breaker.breaker import Transition
from gatewright.layers.circuit_breaker.guard import DeploymentBreaker
from gatewright.layers.circuit_breaker.probes import Entry, SharedProbes
from gatewright.storage.redis import RedisStore, Script

__all__ = ["SharedBreakers"]

EVERY_SECONDS = 0.5

_TIMES = Struct("<dd")
_ENTRY = Struct("<dddd")
_REPLY = Struct("<ddddd")


def _script(name: str) -> Script:
    return Script(files(__package__ or "").joinpath(f"{name}.lua").read_text("utf-8"))


PUBLISH, CHANGES, PROBES = _script("publish"), _script("changes"), _script("probes")


class _Known(msgspec.Struct, frozen=True):
    """What Redis had of a breaker last, by this process's clock; `version` is 0 where it has forgotten that since.

    `open_until` is None where it is closed. It was said at `since` or a little later, and heard of at `heard_at`.
    """

    version: float
    open_until: float | None
    openings: int
    since: float
    heard_at: float


class _Word(msgspec.Struct, frozen=True, eq=False):
    """What happened to a breaker here, and when; it is told until Redis has confirmed it."""

    what: Literal[b"open", b"close", b"force"]
    at: float


class SharedBreakers:
    """Tells other processes at once when a breaker opens or closes, and hears from them twice a second.

    Each process decides by its own breakers, which follow, but asks before a probe goes. Where Redis fails each process
    is by itself, and tells what happened when Redis is back: of several words the last that was said counts, by the
    server's clock, whoever is the first to tell.
    """

    def __init__(self, store: RedisStore, clock: Clock = MONOTONIC) -> None:
        store.use(PUBLISH, CHANGES, PROBES, on_return=self._look)
        self._store = store
        self._now = clock.now
        self._keys = [store.key("breakers"), store.key("breakers:version")]
        self._guards: WeakValueDictionary[str, DeploymentBreaker] = WeakValueDictionary()
        self._known: dict[str, _Known] = {}
        self._words: dict[str, list[_Word]] = {}
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
        if known is not None and not self._words.get(guard.deployment_id):
            self._follow(guard, known)

    def by_hand(self, guard: DeploymentBreaker) -> None:
        """Tell what a hand did to a breaker, also where it changed nothing: others may know more."""
        self._say(guard, b"open" if guard.breaker.state == "open" else b"force")

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
        """Say what the others do not know, and ask what is new."""
        if not self._can_tell():
            return
        for guard in list(self._guards.values()):
            for word in tuple(self._words.get(guard.deployment_id, ())):
                self._publish(guard, word)
            self._probes.keep(guard)
        self._store.run(CHANGES, self._keys, [b"%.0f" % self._version], partial(self._heard, self._now()))

    def _heard(self, asked_at: float, reply: Any) -> None:
        if not isinstance(reply, list):
            return
        times, *entries = cast("list[bytes]", reply)
        there, version = _TIMES.unpack(times)
        if version == self._version:
            return
        self._version = version
        names = [name.decode() for name in entries[::2]]
        for name in [name for name in self._known if name not in names]:
            if not version or self._known[name].version <= version:
                self._forgotten(name)
        for name, packed in zip(names, entries[1::2], strict=True):
            self._learn(name, _ENTRY.unpack_from(packed), there, asked_at)

    def _forgotten(self, deployment_id: str) -> None:
        """Tell again what is open: Redis has it no more, because it was closed long ago, or lost."""
        guard, known = self._guards.get(deployment_id), self._known.pop(deployment_id)
        if guard is not None:
            self._known[deployment_id] = msgspec.structs.replace(known, version=0.0)
            if guard.breaker.state == "open":
                self._words[deployment_id] = self._words.get(deployment_id) or [_Word(b"open", known.since)]

    def _learn(self, deployment_id: str, entry: Entry, there: float, asked_at: float) -> None:
        """Take note of what Redis has, unless newer is known; `there` is the time on its clock when it was asked."""
        version, open_until, openings, said = entry
        known = self._known.get(deployment_id)
        if known is not None and version <= known.version:
            return
        guard, now = self._guards.get(deployment_id), self._now()
        ago = max(0.0, there - said)
        if guard is not None and self._knows_better(guard, known, now - ago):
            return
        until = now + open_until - there if open_until else None
        known = self._known[deployment_id] = _Known(version, until, int(openings), asked_at - ago, now)
        if guard is not None:
            self._follow(guard, known)

    def _knows_better(self, guard: DeploymentBreaker, known: _Known | None, said_by: float) -> bool:
        """Say whether newer is known than what was said by then at the latest; that is told, and Redis judges."""
        words = self._words.setdefault(guard.deployment_id, [])
        if words:
            return said_by < words[-1].at
        if known is None or said_by >= known.since or guard.breaker.state == "half_open":
            return False
        words.append(_Word(b"open" if guard.breaker.state == "open" else b"force", known.since))
        return True

    def _follow(self, guard: DeploymentBreaker, known: _Known) -> None:
        breaker, now = guard.breaker, self._now()
        if known.open_until is None:
            if breaker.state != "closed":
                breaker.close_elsewhere(now)
        elif breaker.state == "closed" or known.open_until > now:
            # All that was told of it is in there; what is told only now may be for longer.
            longest = breaker.open_until if self._words.get(guard.deployment_id) else known.open_until
            breaker.open_elsewhere(max(known.open_until, longest), known.openings, now)
            guard.wake()  # for who waits for a probe that is due later now, or never

    def _changed(self, guard: DeploymentBreaker, transition: Transition) -> None:
        # What a hand does is told by whoever lends it.
        if transition.reason not in ("elsewhere", "by_hand") and transition.after != "half_open":
            self._say(guard, b"open" if transition.after == "open" else b"close")

    def _say(self, guard: DeploymentBreaker, what: Literal[b"open", b"close", b"force"]) -> None:
        """Tell it at once where that can be, and else as soon as it can."""
        before = self._words.get(guard.deployment_id, [])
        word = _Word(what, self._now())
        # It may have been closed before, of which nobody has heard: an opening alone would not end a longer one.
        kept = [one for one in before if one.what != b"open"] if what == b"open" else []
        self._words[guard.deployment_id] = [*kept, word]
        if self._can_tell():
            self._publish(guard, word)

    def _publish(self, guard: DeploymentBreaker, word: _Word) -> None:
        deployment_id, breaker, now = guard.deployment_id, guard.breaker, self._now()
        if word.what == b"open" and breaker.open_until <= now:
            self._told(deployment_id, word)  # that is over already
            return
        known = self._known.get(deployment_id)
        args = [
            deployment_id.encode(),
            word.what,
            b"%f" % max(0.0, breaker.open_until - now),
            b"%d" % breaker.openings,
            b"%f" % (now - word.at),
            b"%.0f" % self._known_version(deployment_id),
            b"%f" % (math.inf if known is None else now - known.heard_at),
        ]
        keys = [*self._keys, self._probes.key(deployment_id)]
        self._store.run(PUBLISH, keys, args, lambda reply: self._published(deployment_id, word, now, reply))

    def _published(self, deployment_id: str, word: _Word, asked_at: float, reply: Any) -> None:
        if isinstance(reply, bytes):
            self._told(deployment_id, word)
            there, *entry = _REPLY.unpack(reply)
            self._learn(deployment_id, cast("Entry", tuple(entry)), there, asked_at)

    def _told(self, deployment_id: str, word: _Word) -> None:
        words = self._words.get(deployment_id, [])
        if word in words:
            words.remove(word)

    def _known_version(self, deployment_id: str) -> float:
        known = self._known.get(deployment_id)
        return known.version if known is not None else 0.0
