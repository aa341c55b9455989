"""Insights and statistics, asked of the database and put together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gatewright.errors import BlockingCallRefused, GatewayError
from gatewright.feedback.config import FeedbackConfig
from gatewright.feedback.grouping import Group, by_meaning, by_words, can_group_by_meaning
from gatewright.feedback.insights import Grouping, Themes, described, merged
from gatewright.feedback.meaning import Meanings
from gatewright.feedback.store import Filter
from gatewright.feedback.tallies import distinct_texts, tallies_by_name, tallies_by_period, texts_said
from gatewright.feedback.types import ALL_TENANTS, FeedbackType, TenantScope
from gatewright.storage.sql.database import Database

__all__ = ["Analyst"]

GROUPED = (FeedbackType.CORRECTION, FeedbackType.IMPROVEMENT, FeedbackType.ERROR)


class Analyst:
    """Finds out what feedback has in common; `meanings` where texts may be grouped by their meaning."""

    def __init__(
        self, database: Database, config: FeedbackConfig, meanings: Meanings | None, model: str | None
    ) -> None:
        self._database = database
        self._config = config
        self._meanings = meanings
        self._model = model

    def insights(self, chosen: Filter, now: datetime, period: timedelta, limit: int) -> dict[str, Any]:
        """Give the insights of the chosen feedback; the connection is not held while a model is asked."""
        with self._database.reading() as connection:
            periods = tallies_by_period(connection, chosen, now, period)
            models = tallies_by_name(connection, chosen, "model")
            versions = tallies_by_name(connection, chosen, "prompt_version")
            themes = {kind: self._themes(connection, chosen, kind, now, period) for kind in GROUPED}
        themes, grouping = self._by_meaning(themes, chosen.tenant_id)
        return described(
            tenant_id=_written(chosen.tenant_id),
            now=now,
            period=period,
            periods=periods,
            models=models,
            versions=versions,
            themes=themes,
            grouping=grouping,
            limit=limit,
        )

    def stats(self, chosen: Filter, now: datetime) -> dict[str, Any]:
        """Give the counts alone; those that were ignored are in them."""
        with self._database.reading() as connection:
            tallies = tallies_by_period(connection, chosen, now, timedelta(days=1))
        rating = merged(tallies)
        by_type = {kind.value: sum(one.count for one in tallies if one.type is kind) for kind in FeedbackType}
        by_status: dict[str, int] = {}
        for one in tallies:
            by_status[one.status.value] = by_status.get(one.status.value, 0) + one.count
        return {
            "tenant_id": _written(chosen.tenant_id),
            "total_feedback": sum(one.count for one in tallies),
            "average_rating": rating.average,
            "rating_count": rating.count,
            "by_type": by_type,
            "by_status": dict(sorted(by_status.items())),
        }

    def _themes(
        self, connection: sa.Connection, chosen: Filter, kind: FeedbackType, now: datetime, period: timedelta
    ) -> Themes:
        limit = self._config.max_grouped
        said = texts_said(connection, chosen, kind, now, period, limit)
        different = len(said) if len(said) < limit else distinct_texts(connection, chosen, kind)
        return Themes(groups=by_words(said), looked_at=len(said), different=different)

    def _by_meaning(
        self, themes: Mapping[FeedbackType, Themes], tenant_id: TenantScope
    ) -> tuple[dict[FeedbackType, Themes], Grouping]:
        """Join the groups that mean the same; where the model fails they stay as they are, and it is said why."""
        if self._meanings is None:
            return dict(themes), Grouping(by="words")
        account = None if tenant_id is ALL_TENANTS else tenant_id
        texts = [group.text for kind in themes for group in themes[kind].groups]
        try:
            can_group_by_meaning()
            vectors = iter(self._meanings.of(texts, account)) if texts else iter(())
        except BlockingCallRefused:
            reason = "asked from the gateway's own event loop: await get_learning_insights_async"
            return dict(themes), Grouping(by="words", model=self._model, reason=reason)
        except GatewayError as error:
            return dict(themes), Grouping(by="words", model=self._model, reason=f"{type(error).__name__}: {error}")
        joined: dict[FeedbackType, Themes] = {}
        for kind, found in themes.items():
            own = [next(vectors) for _ in found.groups]
            groups: list[Group] = by_meaning(found.groups, own, self._config.similarity)
            joined[kind] = Themes(groups=groups, looked_at=found.looked_at, different=found.different)
        return joined, Grouping(by="meaning", model=self._model)


def _written(tenant_id: TenantScope) -> str | None:
    return "*" if tenant_id is ALL_TENANTS else tenant_id
