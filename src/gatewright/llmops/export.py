"""Operations as a file: Parquet, CSV or JSON lines, written as they are read."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Protocol

import msgspec

from gatewright.errors import MissingExtra
from gatewright.storage.sql.operation_rows import Operation

__all__ = ["FORMATS", "Sink", "batches", "sink_of", "suffix_format"]

FORMATS = ("parquet", "csv", "jsonl")
_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
ROWS = 10_000
"""Rows of one part of a Parquet file, and of memory."""


class Sink(Protocol):
    """Takes rows and writes them to an open file."""

    def write(self, operations: Iterable[Operation]) -> None:
        """Write some."""
        ...

    def close(self) -> None:
        """Write what a file of this kind ends with."""
        ...


def suffix_format(name: str) -> str | None:
    """Give the format that a file's name ends in; None where it is none of them."""
    return next((kind for suffix, kind in _SUFFIXES.items() if name.lower().endswith(suffix)), None)


def sink_of(kind: str, file: BinaryIO) -> Sink:
    """Give what writes a format; `MissingExtra` where Parquet needs a package that is not installed."""
    return {"parquet": ParquetSink, "csv": CsvSink, "jsonl": JsonLinesSink}[kind](file)


def row_of(one: Operation) -> dict[str, Any]:
    """Give an operation's columns: dollars as exact decimals, durations in milliseconds, times in UTC."""
    row = msgspec.structs.asdict(one)
    row["started_at"] = datetime.fromtimestamp(one.started_at / 1000, UTC)
    row["cost_usd"], row["saved_usd"] = _dollars(row.pop("cost")), _dollars(row.pop("saved"))
    for name in ("latency", "first_token", "queued", "overhead"):
        value = row.pop(name)
        row[f"{name}_ms"] = None if value is None else value / 1000
    row["guards"] = msgspec.json.decode(one.guards) if one.guards else []
    return row


def _dollars(picodollars: int | None) -> Decimal | None:
    return None if picodollars is None else Decimal(picodollars).scaleb(-12)


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class JsonLinesSink:
    """One JSON object a line; amounts are numbers, written in full."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def write(self, operations: Iterable[Operation]) -> None:
        """Write some."""
        lines: list[bytes] = []
        for one in operations:
            row = row_of(one)
            for name in ("cost_usd", "saved_usd"):
                if row[name] is not None:
                    row[name] = Decimal(_plain(row[name]))
            lines.append(self._encoder.encode(row))
        self._file.write(b"".join(line + b"\n" for line in lines))

    def close(self) -> None:
        """Nothing more."""


class CsvSink:
    """A header and a line for each operation; what a spreadsheet would take for a formula is marked as text."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._header = False

    def write(self, operations: Iterable[Operation]) -> None:
        """Write some."""
        lines = _Lines()
        writer = csv.writer(lines)
        for one in operations:
            row = row_of(one)
            if not self._header:
                writer.writerow(row)
                self._header = True
            writer.writerow(map(_cell, row.values()))
        self._file.write("".join(lines).encode())

    def close(self) -> None:
        """Write the header of a file without rows."""
        if not self._header:
            lines = _Lines()
            csv.writer(lines).writerow(_COLUMNS)
            self._file.write("".join(lines).encode())


class _Lines(list[str]):
    """What a CSV writer writes to."""

    def write(self, text: str) -> int:
        self.append(text)
        return len(text)


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _plain(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return msgspec.json.encode(value).decode() if value else ""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


class ParquetSink:
    """Parts of so many rows, compressed; amounts are decimals with twelve places, times are in UTC."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
            from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]
        except ImportError:
            raise MissingExtra("Parquet files", "export") from None
        self._pa: Any = pa
        self._schema: Any = _parquet_schema(pa)
        self._writer: Any = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, operations: Iterable[Operation]) -> None:
        """Write some, as a part of its own."""
        rows = [_for_parquet(row_of(one)) for one in operations]
        if rows:
            self._writer.write_batch(self._pa.RecordBatch.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def _for_parquet(row: dict[str, Any]) -> dict[str, Any]:
    row["guards"] = msgspec.json.encode(row["guards"]).decode() if row["guards"] else None
    return row


def _parquet_schema(pa: Any) -> Any:
    kinds: dict[str, Any] = {
        "started_at": pa.timestamp("ms", tz="UTC"),
        "tags": pa.list_(pa.string()),
        "streamed": pa.bool_(),
        "tokens_estimated": pa.bool_(),
        "cost_usd": pa.decimal128(38, 12),
        "saved_usd": pa.decimal128(38, 12),
    }
    for name in _COLUMNS:
        if name.endswith("_ms"):
            kinds[name] = pa.float64()
        elif name.endswith("_tokens") or name in ("retries", "fallbacks"):
            kinds[name] = pa.int64()
    return pa.schema([(name, kinds.get(name, pa.string())) for name in _COLUMNS])


def batches(operations: Iterator[Operation], size: int = ROWS) -> Iterator[list[Operation]]:
    """Give them in lists of so many."""
    while some := list(itertools.islice(operations, size)):
        yield some


def _columns() -> list[str]:
    make: Any = Operation
    return list(row_of(make(**{**dict.fromkeys(Operation.__struct_fields__), "started_at": 0})))


_COLUMNS = _columns()
