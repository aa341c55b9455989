"""The operation log's place in a gateway: the journal that its calls are written to, and who hears of them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from gatewright.clock import Clock
from gatewright.configuration.config import GatewayConfig
from gatewright.errors import GatewayError
from gatewright.health.faults import wording
from gatewright.layers.recording import RecordingLayer
from gatewright.llmops.recorder import Asked, Recorder
from gatewright.llmops.records import Records
from gatewright.pipeline.events import Events
from gatewright.pipeline.layer import Layer
from gatewright.storage.data_directory import data_directory

__all__ = ["Recording"]


class Recording:
    """Records a gateway's operations, where that is on; several gateways of one data directory share its records."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        clock: Clock,
        events: Events,
        asked_of: Callable[[str], Asked | None],
        redact: Callable[[str], str],
    ) -> None:
        self.records: Records | None = None
        self._recorder: Recorder | None = None
        self._close_timeout = config.close_timeout
        if not config.record_operations:
            return
        url = config.database_url
        self.records = records = Records.of(
            data_directory(config.data_dir), None if url is None else url.get_secret_value(), config.records
        )
        # A gateway that is dropped without being closed lets go as well, without waiting for anything.
        self._released = weakref.finalize(self, records.release)
        self._released.atexit = False
        self._recorder = Recorder(
            records.journal.append, clock=clock, asked_of=asked_of, content=config.record_content, redact=redact
        )
        self._recorder.listen(events)

    def layers(self) -> list[Layer]:
        """Give the layer that refuses what could not be recorded; none where recording is off."""
        records, recorder = self.records, self._recorder
        if records is None or recorder is None:
            return []
        return [RecordingLayer(records.journal, records.admit, recorder.accounts)]

    def checks(self) -> dict[str, Callable[[], Any]]:
        """Give the health check of the records' store."""
        return {} if self.records is None else {"records": self._check}

    def start_afresh(self) -> None:
        """Forget, in a forked child, the calls of the parent."""
        if self._recorder is not None:
            self._recorder.accounts.clear()

    def close(self) -> None:
        """Drain what was recorded, for `close_timeout` seconds at most, and let go."""
        if self.records is not None and self._released.detach() is not None:
            self.records.release(self._close_timeout)

    async def aclose(self) -> None:
        """Do the same without holding up the event loop."""
        if self.records is not None and self._released.alive:
            await asyncio.to_thread(self.close)

    async def _check(self) -> dict[str, Any]:
        records = self.records
        assert records is not None
        try:
            await asyncio.to_thread(records.check)
        except GatewayError as error:
            return {"status": "unhealthy", "last_error": wording(type(error)), **records.status()}
        return records.status()
