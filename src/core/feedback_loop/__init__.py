"""The feedback loop, by the SDK's path."""

from gatewright.feedback import (
    ALL_TENANTS,
    CallbackConfig,
    Delivery,
    Feedback,
    FeedbackConfig,
    FeedbackConflict,
    FeedbackLoop,
    FeedbackStatus,
    FeedbackType,
)

__all__ = [
    "ALL_TENANTS",
    "CallbackConfig",
    "Delivery",
    "Feedback",
    "FeedbackConfig",
    "FeedbackConflict",
    "FeedbackLoop",
    "FeedbackStatus",
    "FeedbackType",
]
