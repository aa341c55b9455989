"""What a feedback loop teaches: insights, statistics, and data to evaluate and to train with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewright.feedback.archive import Archive
from gatewright.feedback.chosen import checked_hours, checked_limit, chosen_by, since_hours
from gatewright.feedback.types import FeedbackType, TenantScope

if TYPE_CHECKING:
    from gatewright.feedback.store import Filter

__all__ = ["Learning"]

_CONDITIONS = frozenset({"feedback_type", "status", "model", "prompt_version", "operation_id", "since", "before"})


class Learning:
    """The loop's methods of this kind; `_settle` has what waits on the local disk in the database first."""

    _archive: Archive
    _now: Callable[[], datetime]
    _settle: Callable[[], None]

    def get_learning_insights(
        self,
        tenant_id: TenantScope = None,
        *,
        time_range_hours: float | None = None,
        period_hours: float = 168.0,
        model: str | None = None,
        prompt_version: str | None = None,
        limit: int = 10,
    ) -> dict[str, Any]:
        """Give what a tenant's feedback teaches; see docs/feedback.md for the fields.

        It is of the last `time_range_hours`, or of all time; its trend and changes compare periods of `period_hours`
        (a week). Lists have at most `limit` entries, the most frequent first.
        """
        now = self._now()
        since, period, limit = (
            since_hours(time_range_hours, now),
            checked_hours("period_hours", period_hours),
            checked_limit(limit),
        )
        chosen = self._chosen(tenant_id, model=model, prompt_version=prompt_version, since=since)
        self._archive.operations.verify(now)
        return self._archive.analyst.insights(chosen, now, period, limit)

    def get_feedback_stats(
        self, tenant_id: TenantScope = None, *, time_range_hours: float | None = None
    ) -> dict[str, Any]:
        """Count feedback by type and status, and what each callback has had, has yet to get, and failed on."""
        now = self._now()
        chosen = self._chosen(tenant_id, since=since_hours(time_range_hours, now))
        return {
            **self._archive.analyst.stats(chosen, now),
            "callbacks": self._archive.outbox.counts(chosen.tenant_id),
        }

    def evaluation_cases(self, tenant_id: TenantScope = None, **conditions: Any) -> Iterator[dict[str, Any]]:
        """Give feedback as cases for an evaluation, the newest first; the conditions are those of `list_feedback`."""
        from gatewright.feedback.export import evaluation_cases

        return evaluation_cases(self._archive.store.walk(self._chosen(tenant_id, **conditions)))

    def fine_tuning_examples(
        self, tenant_id: TenantScope = None, *, system: str | None = None, good_answers: bool = False, **conditions: Any
    ) -> Iterator[dict[str, Any]]:
        """Give corrections as chats to train with; `good_answers` adds what was called useful or rated 4 or more."""
        from gatewright.feedback.export import fine_tuning_examples

        conditions.pop("feedback_type", None)
        corrections = self._chosen(tenant_id, feedback_type=FeedbackType.CORRECTION, **conditions)
        walk = self._archive.store.walk
        others = walk(self._chosen(tenant_id, **conditions)) if good_answers else ()
        return fine_tuning_examples(walk(corrections), others, system)

    def export_evaluation_set(self, path: str | Path, tenant_id: TenantScope = None, **conditions: Any) -> int:
        """Write `evaluation_cases` to a file, one JSON a line, and give their number."""
        from gatewright.feedback.export import write_lines

        return write_lines(path, self.evaluation_cases(tenant_id, **conditions))

    def export_fine_tuning(
        self,
        path: str | Path,
        tenant_id: TenantScope = None,
        *,
        system: str | None = None,
        good_answers: bool = False,
        **conditions: Any,
    ) -> int:
        """Write `fine_tuning_examples` to a file, one JSON a line, and give their number."""
        from gatewright.feedback.export import write_lines

        return write_lines(
            path, self.fine_tuning_examples(tenant_id, system=system, good_answers=good_answers, **conditions)
        )

    def _chosen(self, tenant_id: TenantScope, **conditions: Any) -> Filter:
        from gatewright.feedback.store import Filter

        unknown = sorted(set(conditions) - _CONDITIONS)
        if unknown:
            raise TypeError(f"there is no condition {unknown[0]!r}: {', '.join(sorted(_CONDITIONS))}")
        chosen = Filter(**chosen_by(tenant_id, **conditions))
        self._settle()
        return chosen
