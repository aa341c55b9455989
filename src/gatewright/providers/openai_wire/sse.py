"""Server-sent events: bytes in any pieces go in, the events' data come out.

After the WHATWG HTML standard, section 9.2.6; of its fields only `data` matters here.
"""

from __future__ import annotations

__all__ = ["EventStream"]

MAX_EVENT_BYTES = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class EventStream:
    """Splits a byte stream into the data of its events; the pieces' borders never matter."""

    __slots__ = ("_after_cr", "_held", "_size", "_started")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._started = False
        self._after_cr = False  # a line ended in CR: an LF that comes next belongs to it

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and give the data of each event that they complete; ValueError if one never ends."""
        if self._after_cr and data:
            data, self._after_cr = data.removeprefix(b"\n"), False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in data:
            return self._hold(data)
        if self._held:
            data = self._taken() + data
        if not self._started:
            data = self._start(data)
        blocks = data.split(b"\n\n")
        rest = blocks.pop()
        if rest:
            self._hold(rest)
        return [payload for block in blocks if (payload := _data_of(block))]

    def end(self) -> list[bytes]:
        """Give the data of a last event that was not closed by an empty line: many servers leave it out."""
        payload = _data_of(self._start(self._taken()))
        return [payload] if payload else []

    def _hold(self, data: bytes) -> list[bytes]:
        """Keep the beginning of an event; its pieces are joined once, when a line of it ends."""
        self._held.append(data)
        self._size += len(data)
        if self._size > MAX_EVENT_BYTES:
            raise ValueError(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        return []

    def _taken(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        self._size = 0
        return data

    def _start(self, data: bytes) -> bytes:
        """Take the byte order mark from the stream's first line."""
        if self._started:
            return data
        self._started = True
        return data.removeprefix(_BOM)


def _data_of(block: bytes) -> bytes:
    """Give the joined `data` lines of one event."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:] for line in block.split(b"\n") if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(line.removeprefix(b" ") for line in lines)
