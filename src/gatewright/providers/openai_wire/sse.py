"""Server-sent events: bytes in any pieces go in, the events' data come out.

After the WHATWG HTML standard, section 9.2.6; of its fields only `data` matters here.
"""

from __future__ import annotations

__all__ = ["EventStream"]

MAX_EVENT_BYTES = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class EventStream:
    """Splits a byte stream into the data of its events; the pieces' borders never matter."""

    __slots__ = ("_rest", "_started")

    def __init__(self) -> None:
        self._rest = b""
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and give the data of each event that they complete; ValueError if one never ends."""
        data = self._rest + data if self._rest else data
        if not self._started:
            data = self._start(data)
        if b"\r" in data:
            data, held = _with_plain_line_ends(data)
        else:
            held = b""
        blocks = data.split(b"\n\n")
        self._rest = blocks.pop() + held
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        return [payload for block in blocks if (payload := _data_of(block))]

    def end(self) -> list[bytes]:
        """Give the data of a last event that was not closed by an empty line: many servers leave it out."""
        rest, self._rest = self._rest, b""
        payload = _data_of(rest.replace(b"\r", b"\n"))
        return [payload] if payload else []

    def _start(self, data: bytes) -> bytes:
        if len(data) < len(_BOM) and _BOM.startswith(data):
            return data
        self._started = True
        return data.removeprefix(_BOM)


def _with_plain_line_ends(data: bytes) -> tuple[bytes, bytes]:
    """Make CRLF and CR into LF; a CR at the very end is held back, since its LF may still come."""
    held = b""
    if data.endswith(b"\r"):
        data, held = data[:-1], b"\r"
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), held


def _data_of(block: bytes) -> bytes:
    """Give the joined `data` lines of one event."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:] for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in lines)
