"""The schema's revisions that this program knows: the files of `migrations/versions`, by their numbers."""

from __future__ import annotations

from pathlib import Path

__all__ = ["HEAD", "REVISIONS"]

_VERSIONS = Path(__file__).parent / "migrations" / "versions"

REVISIONS = sorted(path.name[1:5] for path in _VERSIONS.glob("r[0-9]*.py"))
HEAD = REVISIONS[-1]
