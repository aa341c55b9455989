"""The thread that drains the journal into the store; of all processes with one data directory, one at a time does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

import msgspec

from gatewright.errors import GatewayError
from gatewright.llmops.config import RecordsConfig
from gatewright.llmops.retention import Retention
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.journal import Journal, JournalReader
from gatewright.storage.locks import FileLock
from gatewright.storage.sql.store import RecordStore
from gatewright.types.records import LateAttempt, OperationRecord, decode_record, encode_record

__all__ = ["Writer"]

log = logging.getLogger("gatewright.records")

IDLE_SECONDS = 5.0
"""How often a process that records nothing looks for what others left."""
MOST_WAIT = 5.0
"""How long the store is left alone, at the most, after it did not answer."""
RETENTION_SECONDS = 600.0


class Writer:
    """Drains this process's journal and everyone else's in its directory, `interval` seconds after the first append.

    `failure` is what the store failed with the last time, None where it answered. Nothing here is awaited by a call.
    """

    def __init__(self, journal: Journal, store: RecordStore, config: RecordsConfig) -> None:
        self._journal = journal
        self._store = store
        self._config = config
        self._reader = JournalReader(journal.directory, journal.used)
        self._lock = FileLock(journal.directory / "writer.lock")
        self._retention = Retention(store, config)
        self._retained_at = -RETENTION_SECONDS
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._turn = threading.Condition()
        self._asked = 0  # flushes that were asked for, and those that are done
        self._done = 0
        self._thread: threading.Thread | None = None
        self.failure: GatewayError | None = None
        self.answered_at: float | None = None
        self.backlog = 0  # bytes that were not drained when it last looked
        self.dropped = 0
        self.rejected = 0
        self.written = 0

    @property
    def here(self) -> bool:
        """Whether it is this process that drains the directory."""
        return self._lock.held

    @property
    def damaged(self) -> int:
        """How many places in the journal were found damaged, or torn by the death of their writer."""
        return self._reader.damaged + self._reader.torn

    def start(self) -> None:
        """Begin, in a thread that no exit of the process waits for."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gatewright-records", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Hear that there is something to drain."""
        self._wake.set()

    def flush(self, seconds: float) -> bool:
        """Drain all that is there now, waiting so long at most; False where it is not, or another process does it."""
        if self._thread is None:
            return False
        with self._turn:
            self._asked += 1
            mine = self._asked
            self._wake.set()
            self._turn.notify_all()
            done = self._turn.wait_for(lambda: self._done >= mine, seconds)
        return done and self.here and self.failure is None

    def stop(self, seconds: float) -> None:
        """End the thread after what it is at, waiting so long at most; it closes the store."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._ending.set()
        with self._turn:
            self._wake.set()
            self._turn.notify_all()
        if seconds > 0 and thread is not threading.current_thread():
            thread.join(seconds)

    def forget(self) -> None:
        """Start afresh in a forked child: the thread, its lock and its files are the parent's."""
        self._lock.release()
        self._reader.close()
        self._thread = None
        self._wake, self._ending, self._turn = threading.Event(), threading.Event(), threading.Condition()
        self._asked = self._done = 0

    def _run(self) -> None:
        waited = self._config.interval
        while not self._ending.is_set():
            self._rest(waited)
            asked = self._asked
            self._journal.settled()
            drained = self._tick()
            waited = self._config.interval if drained else min(MOST_WAIT, 2 * max(waited, 0.25))
            with self._turn:
                self._done = asked
                self._turn.notify_all()
        self._reader.close()
        self._lock.release()
        self._store.close()

    def _rest(self, seconds: float) -> None:
        """Wait until something is appended, or it is time to look around, and then so long for more; or for a flush."""
        alone = self.failure is None and not self._reader.follows_others
        if not self._wake.wait(IDLE_SECONDS if alone else seconds):
            return
        self._wake.clear()
        with self._turn:
            self._turn.wait_for(lambda: self._asked > self._done or self._ending.is_set(), seconds)

    def _tick(self) -> bool:
        """Do what there is to do; False where the store did not answer."""
        try:
            if self._lock.take():
                self._drain()
                self._drain_held()
                self._retain()
        except GatewayError as error:
            self._failed(error)
        except Exception as error:
            log.debug("draining the journal of records failed", exc_info=True)
            self._reader.close()  # what is read again and was stored is not stored twice
            self._failed(StoreUnavailable(f"draining the journal of records failed: {error}"))
        self._journal.prepare()
        if self._config.when_full == "drop_oldest" and self.failure is not None:
            self._make_room()
        self.backlog = self._reader.backlog() if self._lock.held else 0  # who drains knows
        return self.failure is None

    def _failed(self, error: GatewayError) -> None:
        if self.failure is None:
            log.warning("%s; records are kept in the journal until it answers", error)
        self.failure = error

    def _drain(self) -> None:
        """Store what there is, batch by batch; what comes meanwhile waits for the next turn."""
        while entries := self._reader.read(self._config.batch_size):
            more = self._reader.more
            self._write(self._decoded(entries))
            self._reader.drained()
            if self.failure is not None:
                log.warning("the records' database answers again")
            self.failure, self.answered_at = None, time.monotonic()
            if not more:
                break
        self._reader.read(1)  # files that are drained to their ends go when they are read the next time

    def _drain_held(self) -> None:
        """Let what was held in memory follow, as much at a time as the journal has room for now that it is drained."""
        before = self._journal.held + 1
        while 0 < (held := self._journal.held) < before:
            before = held
            self._journal.prepare()
            self._drain()

    def _decoded(self, entries: Sequence[bytes]) -> list[OperationRecord | LateAttempt]:
        try:
            # A loop, which the calls can interrupt, and no `map`, which they cannot.
            return [decode_record(entry) for entry in entries]
        except msgspec.DecodeError:
            return [record for entry in entries for record in self._if_a_record(entry)]

    def _if_a_record(self, entry: bytes) -> list[OperationRecord | LateAttempt]:
        try:
            return [decode_record(entry)]
        except msgspec.DecodeError as error:  # a newer program's, or nobody's
            self._reject(entry, error)
            return []

    def _write(self, records: Sequence[OperationRecord | LateAttempt]) -> None:
        """Store a batch; where something in it cannot be stored, all of it but that."""
        operations = [record for record in records if type(record) is OperationRecord]
        late = [record for record in records if type(record) is LateAttempt]
        try:
            self.written += self._store.write(operations, late)
        except GatewayError:
            raise  # the store does not answer, or is not this program's
        except Exception as error:  # noqa: BLE001 - a value that the store does not take, whatever it says of it
            if len(records) == 1:
                self._reject(encode_record(records[0]), error)
                return
            middle = len(records) // 2
            self._write(records[:middle])
            self._write(records[middle:])

    def _reject(self, content: bytes, error: Exception) -> None:
        self.rejected += 1
        log.error("a record of %d bytes cannot be stored and is left out: %s", len(content), error)
        with (self._journal.directory / "rejected.records").open("ab") as file:
            file.write(len(content).to_bytes(4, "little") + content)

    def _retain(self) -> None:
        now = time.monotonic()
        if now - self._retained_at >= RETENTION_SECONDS and self.failure is None:
            if not self._retention.step():
                self._retained_at = now
            else:
                self._wake.set()

    def _make_room(self) -> None:
        while self._journal.full is not None and self._lock.held:
            lost = self._reader.drop_oldest()
            if lost is None:
                return
            self.dropped += lost
            log.error("the journal of records is full: the %d oldest records were dropped", lost)
            self._journal.prepare()
