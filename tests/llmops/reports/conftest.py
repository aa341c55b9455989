from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewright.llmops.reports import Reports
from gatewright.storage.sql.store import RecordStore
from llmops.reports.operations import NOW


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordStore]:
    opened = RecordStore(tmp_path / "records.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Reports]:
    opened = Reports(tmp_path / "records.sqlite", wall=lambda: NOW)
    yield opened
    opened.close()
