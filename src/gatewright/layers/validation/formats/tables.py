"""Tables: Markdown's, or comma-separated."""

from __future__ import annotations

import csv
import re
from typing import Literal, NamedTuple

from pydantic import NonNegativeInt

from gatewright.layers.validation.formats.base import NOWHERE, Format
from gatewright.layers.validation.formats.reading import fenced
from gatewright.layers.validation.rules import Context, Problem

__all__ = ["Table", "TableFormat", "csv_table", "markdown_tables"]

MOST_TOLD = 20
"""How many ragged rows are told."""

_DELIMITER_CELL = re.compile(r"^:?-+:?$")


class Table(NamedTuple):
    """A header and the rows below it, with the line (from 1) on which each row stands."""

    header: list[str]
    rows: list[tuple[int, list[str]]]


class TableFormat(Format):
    """A table with these columns, so many rows, and no row longer or shorter than the header.

    `columns` are the header's cells, in any order; others may stand among them unless `only_columns`. A Markdown table
    may stand among other text; comma-separated values are the whole answer.
    """

    id: str = "table"
    text: str = "The answer has a table of the form that was asked for."
    style: Literal["markdown", "csv"] = "markdown"
    delimiter: str = ","
    columns: tuple[str, ...] = ()
    only_columns: bool = False
    min_rows: NonNegativeInt = 1
    max_rows: NonNegativeInt | None = None

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Give what is wrong with every table in `text`."""
        if self.style == "csv":
            try:
                tables = csv_table(text, self.delimiter)
            except csv.Error as error:
                return [Problem(f"it is not comma-separated: {error}")]
        else:
            tables = markdown_tables(text)
        if not tables:
            return [Problem("there is no table")]
        return [problem for table in tables for problem in self._problems(table)]

    def repair(self, text: str, context: Context = NOWHERE, /) -> str | None:
        """Give comma-separated values out of a code fence."""
        inner = fenced(text) if self.style == "csv" else None
        return None if inner is None or self.judge(inner) else inner

    def wanted(self) -> str:
        """Say the columns and the rows."""
        what = "a Markdown table" if self.style == "markdown" else f"a table separated by {self.delimiter!r} alone"
        with_columns = f" with the columns {', '.join(self.columns)}" if self.columns else ""
        most = "" if self.max_rows is None else f" and at most {self.max_rows}"
        return f"The answer is {what}{with_columns}, at least {self.min_rows}{most} rows, all of the header's length."

    def _problems(self, table: Table) -> list[Problem]:
        problems: list[Problem] = []
        named = [_plain(cell) for cell in table.header]
        missing = [column for column in self.columns if _plain(column) not in named]
        if missing:
            problems.append(Problem(f"columns are missing: {', '.join(missing)}"))
        if self.only_columns and len(table.header) > len(self.columns) and not missing:
            problems.append(Problem(f"it has {len(table.header)} columns, not {len(self.columns)}"))
        if len(table.rows) < self.min_rows:
            problems.append(Problem(f"it has {len(table.rows)} rows, fewer than {self.min_rows}"))
        if self.max_rows is not None and len(table.rows) > self.max_rows:
            problems.append(Problem(f"it has {len(table.rows)} rows, more than {self.max_rows}"))
        width = len(table.header)
        ragged = [(line, len(row)) for line, row in table.rows if len(row) != width]
        return problems + [
            Problem(f"line {line}: it has {cells} cells where the header has {width}")
            for line, cells in ragged[:MOST_TOLD]
        ]


def _plain(cell: str) -> str:
    """Give a header's cell without emphasis and case."""
    return cell.strip().strip("*_`").strip().lower()


def csv_table(text: str, delimiter: str = ",") -> list[Table]:
    """Read comma-separated values; an empty text has no table, an open quote is a `csv.Error`."""
    reader = csv.reader(text.strip("\n").splitlines(), delimiter=delimiter, strict=True)
    rows = [(reader.line_num, row) for row in reader]
    if not rows or not any(cell.strip() for cell in rows[0][1]):
        return []
    return [Table(rows[0][1], rows[1:])]


def markdown_tables(text: str) -> list[Table]:
    """Read the tables of a Markdown text: a line with pipes above a line of dashes begins one."""
    lines = text.splitlines()
    tables: list[Table] = []
    number = 1
    while number < len(lines):
        if "|" in lines[number - 1] and _is_delimiter(lines[number]):
            table = Table(_cells(lines[number - 1]), _rows(lines, number + 1))
            tables.append(table)
            number += 1 + len(table.rows)
        number += 1
    return tables


def _is_delimiter(line: str) -> bool:
    return "-" in line and all(_DELIMITER_CELL.match(cell) for cell in _cells(line))


def _rows(lines: list[str], start: int) -> list[tuple[int, list[str]]]:
    rows: list[tuple[int, list[str]]] = []
    for place in range(start, len(lines)):
        if "|" not in lines[place]:
            break
        rows.append((place + 1, _cells(lines[place])))
    return rows


def _cells(line: str) -> list[str]:
    """Give a line's cells; a pipe after a backslash, or in backquotes after one, is a character like any other."""
    inner = line.strip()
    inner = inner.removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [cell.replace("\0", "|").strip() for cell in inner.replace("\\|", "\0").split("|")]
