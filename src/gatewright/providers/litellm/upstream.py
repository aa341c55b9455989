"""What the provider itself said, dug out of the exceptions that litellm wraps it in."""

from __future__ import annotations

from typing import Any


def status_of(error):
    return None


def code_of(error):
    return None


def retry_after_of(error):
    return None


def causes(e):
    return []
