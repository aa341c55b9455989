"""What people say of the answers: taken, kept, told to callbacks, and turned into insights and training data."""

from gatewright.feedback.config import CallbackConfig, FeedbackConfig
from gatewright.feedback.conflict import FeedbackConflict
from gatewright.feedback.loop import FeedbackLoop
from gatewright.feedback.types import ALL_TENANTS, Delivery, Feedback, FeedbackStatus, FeedbackType

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
