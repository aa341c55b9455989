from __future__ import annotations

from pathlib import Path

import pytest

from gatewright.errors import ConfigurationError
from gatewright.storage.data_directory import data_directory, made_directory


@pytest.mark.parametrize(
    ("configured", "environ", "expected"),
    [
        (Path("/a"), {"GATEWRIGHT_DATA_DIR": "/b", "XDG_DATA_HOME": "/c"}, "/a"),
        (None, {"GATEWRIGHT_DATA_DIR": "/b", "XDG_DATA_HOME": "/c"}, "/b"),
        (None, {"XDG_DATA_HOME": "/c"}, "/c/gatewright"),
        (None, {}, str(Path.home() / ".local/share/gatewright")),
    ],
)
def test_the_nearest_word_counts(configured: Path | None, environ: dict[str, str], expected: str) -> None:
    assert str(data_directory(configured, environ)) == expected


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    made = made_directory(tmp_path / "a" / "b")
    assert made.is_dir()
    assert made.stat().st_mode & 0o777 == 0o700


def test_one_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"data_dir: .*file/data cannot be made .*record_operations") as caught:
        made_directory(tmp_path / "file" / "data")
    assert caught.value.param == "data_dir"
