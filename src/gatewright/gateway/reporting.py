"""What the operations add up to: metrics, costs, series for charts."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from gatewright.errors import ConfigurationError
from gatewright.gateway.assembly import Assembly
from gatewright.llmops.records import Records
from gatewright.types.records import OperationRecord, decode_record

if TYPE_CHECKING:
    from gatewright.llmops.reports import Reports

__all__ = ["ReportMethods", "Reporting"]

DAYS_30 = 24 * 30
LOOK_SECONDS = 0.02
"""How often the store is asked whether what another process drains has arrived."""


class Reporting:
    """Makes the reports of one gateway when they are first asked for; it gives them after it is closed, too."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._reports: Reports | None = None
        self._closed = False

    @property
    def reports(self) -> Reports:
        """The reports; `ConfigurationError` where operations are not recorded."""
        from gatewright.llmops.reports import Reports

        records = self._assembly.recording.records
        if records is None:
            raise ConfigurationError(
                "record_operations: it is off, so there is nothing to report; set it to True", param="record_operations"
            )
        if self._reports is None:
            backlog = None if self._closed else _Backlog(records)
            self._reports = Reports(records.where, records.config, backlog=backlog)
        return self._reports

    def close(self) -> None:
        """Close the connections to the store; what was recorded is drained by then."""
        self._closed = True
        reports, self._reports = self._reports, None
        if reports is not None:
            reports.close()


class _Backlog:
    """What this process has recorded: drained here, or by another process, whose work is then waited for."""

    def __init__(self, records: Records) -> None:
        from gatewright.storage.sql.reading import RecordReader

        self._records = records
        self._reader = RecordReader(records.where)

    def flush(self, seconds: float) -> bool:
        """Wait until all of it is in the store, but not for longer; False where it is not."""
        until = time.monotonic() + seconds
        records = self._records
        last = records.journal.last
        if records.writer.failure is not None:
            return False  # nobody waits again for a store that did not answer
        if records.flush(seconds):
            return True
        if last is None or records.writer.here or records.writer.failure is not None:
            return False
        # A process's records arrive in their order: where the last one is, all are.
        record = decode_record(last)
        operation = record.id if isinstance(record, OperationRecord) else record.operation
        while not self._reader.has(operation):
            if time.monotonic() > until:
                return False
            time.sleep(LOOK_SECONDS)
        return True


class ReportMethods:
    """The gateway's methods of this kind: they read the store, and hold up neither calls nor those who write.

    `tenant_id` and `agent_id` are those of the calls, None for all of them. What was answered before is in the
    numbers; `complete` is False where it could not be brought to the store in time. `BadRequest` names a wrong
    argument, `StoreUnavailable` says that the store does not answer.
    """

    _reporting: Reporting

    def get_llmops_metrics(
        self, tenant_id: str | None = None, agent_id: str | None = None, time_range_hours: float = 24
    ) -> dict[str, Any]:
        """Give how the last hours went: operations, tokens, costs, latencies, success and error rates, by what.

        See docs/metrics.md for the fields.
        """
        return self._reporting.reports.metrics(tenant_id, agent_id, time_range_hours)

    async def get_llmops_metrics_async(
        self, tenant_id: str | None = None, agent_id: str | None = None, time_range_hours: float = 24
    ) -> dict[str, Any]:
        """Do the same, and let others run meanwhile."""
        return await asyncio.to_thread(self.get_llmops_metrics, tenant_id, agent_id, time_range_hours)

    def get_cost_summary(
        self, tenant_id: str | None = None, agent_id: str | None = None, time_range_hours: float = DAYS_30
    ) -> dict[str, Any]:
        """Give what the last 30 days cost, by what, what was saved, and what is to be expected.

        See docs/metrics.md for the fields.
        """
        return self._reporting.reports.costs(tenant_id, agent_id, time_range_hours)

    async def get_cost_summary_async(
        self, tenant_id: str | None = None, agent_id: str | None = None, time_range_hours: float = DAYS_30
    ) -> dict[str, Any]:
        """Do the same, and let others run meanwhile."""
        return await asyncio.to_thread(self.get_cost_summary, tenant_id, agent_id, time_range_hours)

    def get_llmops_series(
        self,
        tenant_id: str | None = None,
        agent_id: str | None = None,
        time_range_hours: float = 24,
        step: str | None = None,
    ) -> dict[str, Any]:
        """Give a line for each minute, hour or day (`step`; one that makes a readable chart without it)."""
        return self._reporting.reports.series(tenant_id, agent_id, time_range_hours, step)

    async def get_llmops_series_async(
        self,
        tenant_id: str | None = None,
        agent_id: str | None = None,
        time_range_hours: float = 24,
        step: str | None = None,
    ) -> dict[str, Any]:
        """Do the same, and let others run meanwhile."""
        return await asyncio.to_thread(self.get_llmops_series, tenant_id, agent_id, time_range_hours, step)
