"""No read of feedback ever gives what another tenant said, whatever anyone records, reads, changes and deletes."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from gatewright.errors import NotFound
from gatewright.feedback import ALL_TENANTS, FeedbackConflict, FeedbackLoop, FeedbackStatus, FeedbackType

# Names that a careless comparison would take for one another.
TENANTS = st.sampled_from(["acme", "Acme", "acme ", "a", "acme%", "_cme", "*", "-", "None", "null", "'; --", None])
TEXTS = st.sampled_from(["not so", "Not so!", "another thing", "yes", "%"])
KINDS = st.sampled_from(list(FeedbackType))
MODELS = st.sampled_from([None, "m", "n"])


class Tenants(RuleBasedStateMachine):
    """Beside the loop, what each tenant said in a dictionary."""

    ids: Bundle[str] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.loop = FeedbackLoop(data_dir=Path(self.directory.name))
        self.said: dict[str, dict[str, Any]] = {}

    @rule(target=ids, tenant=TENANTS, kind=KINDS, content=TEXTS, model=MODELS)
    def record(self, tenant: str | None, kind: FeedbackType, content: str, model: str | None) -> Any:
        metadata = {} if model is None else {"model": model}
        id_ = self.loop.record_feedback("q", "r", kind, content, tenant, rating=3, metadata=metadata)
        self.said[id_] = {"tenant": tenant, "kind": kind, "content": content, "model": model, "status": "pending"}
        return id_

    @rule(id_=ids, tenant=TENANTS)
    def read(self, id_: str, tenant: str | None) -> None:
        mine = self._mine(id_, tenant)
        try:
            found = self.loop.get_feedback(id_, tenant)
        except NotFound:
            assert not mine
        else:
            assert mine
            assert (found.content, found.status) == (self.said[id_]["content"], self.said[id_]["status"])

    @rule(id_=ids, tenant=TENANTS, status=st.sampled_from(["applied", "ignored", "processed"]))
    def change(self, id_: str, tenant: str | None, status: str) -> None:
        change = {
            "applied": self.loop.mark_applied,
            "ignored": self.loop.ignore_feedback,
            "processed": self.loop.process_feedback,
        }[status]
        mine = self._mine(id_, tenant)
        try:
            found = change(id_, tenant)
        except NotFound:
            assert not mine
        except FeedbackConflict:
            assert mine
            assert not FeedbackStatus(self.said[id_]["status"]).may_become(FeedbackStatus(status))
        else:
            assert mine
            self.said[id_]["status"] = found.status.value

    @rule(id_=ids, tenant=TENANTS)
    def delete(self, id_: str, tenant: str | None) -> None:
        mine = self._mine(id_, tenant)
        try:
            self.loop.delete_feedback(id_, tenant)
        except NotFound:
            assert not mine
        else:
            assert mine
            del self.said[id_]

    @rule(tenant=TENANTS, kind=st.none() | KINDS, model=MODELS)
    def select(self, tenant: str | None, kind: FeedbackType | None, model: str | None) -> None:
        listed = self.loop.list_feedback(tenant, limit=1000, feedback_type=kind, model=model)
        own = {
            id_
            for id_, one in self.said.items()
            if one["tenant"] == tenant and kind in (None, one["kind"]) and model in (None, one["model"])
        }
        assert {one.id for one in listed} == own
        assert {one.tenant_id for one in listed} <= {tenant}

    @rule(tenant=TENANTS)
    def learn(self, tenant: str | None) -> None:
        own = [one for one in self.said.values() if one["tenant"] == tenant]
        counted = [one for one in own if one["status"] != "ignored"]
        insights = self.loop.get_learning_insights(tenant, limit=1000)
        assert insights["total_feedback"] == len(counted)
        assert insights["rating_count"] == len(counted)
        corrections = [one for one in counted if one["kind"] is FeedbackType.CORRECTION]
        assert sum(one["count"] for one in insights["common_corrections"]) == len(corrections)
        assert {text for one in insights["common_corrections"] for text in one["examples"]} <= {
            one["content"] for one in corrections
        }
        stats = self.loop.get_feedback_stats(tenant)
        assert stats["by_status"] == dict(Counter(one["status"] for one in own))

    @rule(tenant=TENANTS)
    def export(self, tenant: str | None) -> None:
        counted = {id_ for id_, one in self.said.items() if one["tenant"] == tenant and one["status"] != "ignored"}
        assert {one["id"] for one in self.loop.evaluation_cases(tenant)} == counted

    @invariant()
    def nothing_is_lost(self) -> None:
        assert {one.id for one in self.loop.list_feedback(ALL_TENANTS, limit=1000)} == set(self.said)

    def _mine(self, id_: str, tenant: str | None) -> bool:
        return id_ in self.said and self.said[id_]["tenant"] == tenant

    def teardown(self) -> None:
        self.loop.close()
        self.directory.cleanup()


TestTenants = Tenants.TestCase
TestTenants.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
