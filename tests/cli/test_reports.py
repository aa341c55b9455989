"""`gatewright stats`, `costs` and `export`, as their users call them."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gatewright.cli.app import app
from gatewright.cli.sparkline import sparkline
from gatewright.storage.sql.store import RecordStore
from gatewright.types.operations import STATUSES
from gatewright.types.records import GuardVerdict, OperationRecord

Run = Callable[..., Result]


def operation(ago: float = 60.0, **fields: Any) -> OperationRecord:
    at = time.time() - ago
    usual: dict[str, Any] = {"tenant": "acme", "model": "m", "provider": "p", "cost": 1_500_000_001, "latency": 800_000}
    id_ = int(at).to_bytes(4, "big") + os.urandom(8)
    return OperationRecord(id=id_, started_at=int(at * 1000), **{"type": 1, "status": 0, **usual, **fields})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("GATEWRIGHT_DATA_DIR", str(tmp_path / "data"))
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def recorded(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    store = RecordStore(tmp_path / "data" / "records.sqlite")
    store.write(
        [
            operation(prompt_tokens=100, completion_tokens=20, tags=("a", "b"), agent="sales"),
            operation(cost=None, model="new", user="=cmd()"),
            operation(tenant="other", status=STATUSES.index("timeout"), error="ProviderTimeout", cost=0),
            operation(ago=3 * 86400, guards=[GuardVerdict("g", "pii", "high", "redact", "input")]),
        ]
    )
    store.close()


@pytest.mark.parametrize("command", ["stats", "costs"])
def test_an_empty_store_is_said_to_be_one(run: Run, tmp_path: Path, command: str) -> None:
    found = run(command)
    assert found.exit_code == 0
    assert "nothing is recorded" in found.stderr
    assert "operations\t0" in found.stdout
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("recorded")
def test_stats_for_people_and_for_programs(run: Run) -> None:
    found = run("stats", "--tenant", "acme")
    assert found.exit_code == 0, found.output
    lines = dict(line.split("\t", 1) for line in found.stdout.splitlines() if "\t" in line)
    assert lines["operations"] == "2"
    assert lines["cost"] == "0.001500000001"
    assert lines["m"].split("\t")[0] == "1"
    assert "the price of 1 operations is not known" in found.stderr
    report = json.loads(run("stats", "--tenant", "acme", "--json").stdout)
    assert (report["total_operations"], report["tenant_id"]) == (2, "acme")
    assert "other" not in json.dumps(report)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("options", "operations"),
    [
        (["--hours", "1"], 3),
        (["--since", "7d"], 4),
        (["--since", "2020-01-01"], 4),
        (["--agent", "sales"], 1),
        (["--tenant", "nobody"], 0),
    ],
)
def test_which_operations(run: Run, options: list[str], operations: int) -> None:
    assert json.loads(run("stats", "--json", *options).stdout)["total_operations"] == operations


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("by", ["model", "provider", "tenant", "agent", "type"])
def test_what_the_table_of_costs_tells_apart(run: Run, by: str) -> None:
    found = run("costs", "--by", by)
    assert found.exit_code == 0, found.output
    assert f"\n{by}\toperations\t" in found.stdout
    assert "forecast\tnone" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["stats", "--hours", "0"], "--hours"),
        (["stats", "--hours", "nan"], "--hours"),
        (["stats", "--hours", "2", "--since", "1h"], "--hours"),
        (["costs", "--since", "yesterday"], "--since"),
        (["costs", "--since", "2999-01-01"], "--since"),
        (["costs", "--by", "colour"], "--by"),
        (["export", "--out", "x.txt"], "--out"),
        (["export", "--format", "parquet"], "--format"),
        (["export", "--status", "odd"], "--status"),
    ],
)
def test_wrong_usage_is_named(run: Run, arguments: list[str], named: str) -> None:
    found = run(*arguments)
    assert found.exit_code == 2
    assert named in found.stderr


@pytest.mark.usefixtures("recorded")
def test_a_table_fits_a_narrow_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewright.cli.output.on_terminal", lambda: True)
    monkeypatch.setattr("gatewright.cli.figures.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "50")
    found = run("stats")
    assert found.exit_code == 0, found.output
    assert max(map(len, found.stdout.splitlines())) <= 50
    assert "≤" in found.stdout


@pytest.mark.usefixtures("recorded")
def test_json_lines_and_csv_have_the_same_rows(run: Run) -> None:
    lines = [json.loads(line, parse_float=Decimal) for line in run("export").stdout.splitlines()]
    rows = list(csv.DictReader(io.StringIO(run("export", "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert len(lines) == 4
    first = lines[0]
    assert (first["cost_usd"], first["guards"]) == (
        Decimal("0.001500000001"),
        [["g", "pii", "high", "redact", "input", "", None]],
    )
    assert {row["cost_usd"] for row in rows} == {"0.001500000001", "", "0"}
    assert next(line for line in lines if line["tags"])["tags"] == ["a", "b"]
    assert [row["user"] for row in rows if row["user"]] == ["'=cmd()"]


@pytest.mark.usefixtures("recorded")
def test_filters(run: Run) -> None:
    for options, count in (
        (["--tenant", "acme"], 3),
        (["--tenant", "acme", "--since", "1d"], 2),
        (["--model", "new"], 1),
        (["--status", "timeout"], 1),
        (["--type", "embedding"], 0),
        (["--agent", "sales", "--provider", "p"], 1),
    ):
        assert len(run("export", *options).stdout.splitlines()) == count


@pytest.mark.usefixtures("recorded")
def test_parquet(run: Run, tmp_path: Path) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "all.parquet"
    found = run("export", "--out", out)
    assert found.exit_code == 0, found.output
    table = parquet.read_table(out)
    assert table.num_rows == 4
    assert table.column("cost_usd").to_pylist()[0] == Decimal("0.001500000001")
    refused = run("export", "--out", out)
    assert (refused.exit_code, "--force" in refused.stderr) == (2, True)
    assert run("export", "--out", out, "--force", "--tenant", "nobody").exit_code == 0
    assert parquet.read_table(out).num_rows == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["all.parquet"]


@pytest.mark.usefixtures("recorded")
def test_parquet_says_what_to_install(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    found = run("export", "--out", tmp_path / "all.parquet")
    assert (found.exit_code, "gatewright[export]" in found.stderr) == (3, True)
    assert not list(tmp_path.glob("*.parquet*"))


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 10, ""),
        ([0.0, 0.0], 10, "▁▁"),
        ([0.0, 1.0, 8.0], 10, "▁▁█"),
        ([1.0] * 100, 5, "█████"),
        ([1.0, 1.0, 8.0, 8.0], 2, "▁█"),
    ],
)
def test_sparklines(values: list[float], width: int, line: str) -> None:
    assert sparkline(values, width) == line


def test_a_terminal_without_blocks_has_sparklines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert sparkline([0.0, 4.0, 8.0], 10) == "_=@"
