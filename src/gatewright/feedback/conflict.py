"""What is wrong with a change that comes too late."""

from __future__ import annotations

from gatewright.errors import BadRequest

__all__ = ["FeedbackConflict"]


class FeedbackConflict(BadRequest):
    """A feedback's status is final and cannot become another one."""

    code = "feedback_conflict"
    status = 409
