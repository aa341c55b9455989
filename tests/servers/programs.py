"""What a test does whose server is not installed: it is skipped for a newcomer, and fails in CI."""

import os
from typing import NoReturn

import pytest


def missing(program: str, install: str) -> NoReturn:
    reason = f"needs {program}: {install}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
