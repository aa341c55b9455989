"""One local server for all replays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recorded.server import Replay


@pytest.fixture(scope="session")
def replay() -> Iterator[Replay]:
    """Give a server that answers with whatever exchange it is told to play."""
    with Replay() as server:
        yield server
