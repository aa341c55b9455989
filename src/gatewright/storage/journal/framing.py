"""How entries lie in a segment: each in a frame of its length, a checksum of length and content, and its content.

A segment is a file of zeros, allocated in advance; a length of zero is where its entries end.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

__all__ = ["HEADER", "Gap", "Scan", "frame", "resume", "scan"]

HEADER = 8
_header = struct.Struct("<II")
_pack = _header.pack


class Gap(NamedTuple):
    """Bytes that are no frames, from `start` to `end` of a segment."""

    start: int
    end: int


class Scan(NamedTuple):
    """What was read: the entries, the place after the last of them, and whether what is there is no whole frame."""

    entries: list[bytes]
    end: int
    broken: bool


def frame(entry: bytes) -> bytes:
    """Give an entry in its frame."""
    size = len(entry)
    return _pack(size, crc32(entry, size)) + entry


def scan(data: bytes, limit: int) -> Scan:
    """Read up to `limit` entries from the start of `data`; what is cut off at its end counts as broken."""
    entries: list[bytes] = []
    found, read = entries.append, _header.unpack_from
    place, last = 0, len(data) - HEADER
    for _ in range(limit):  # a few instructions an entry: all records come by here
        if place > last:
            return Scan(entries, place, broken=any(data[place:]))
        length, checksum = read(data, place)
        start = place + HEADER
        entry = data[start : start + length]
        if not length or len(entry) < length or crc32(entry, length) != checksum:
            return Scan(entries, place, broken=any(data[place:start]))
        found(entry)
        place = start + length
    return Scan(entries, place, broken=False)


def resume(data: bytes, start: int) -> int:
    """Give the place of the next whole frame after `start`; the end of `data` where there is none."""
    for place in range(start + 1, len(data.rstrip(b"\0")) - HEADER):
        if _at(data, place):
            return place
    return len(data)


def _at(data: bytes, place: int) -> bytes | None:
    """Give the entry whose frame begins at `place`: empty where the entries end, None where there is no frame."""
    if place + HEADER > len(data):
        return None
    length, checksum = _header.unpack_from(data, place)
    if length == 0:
        return b"" if checksum == 0 else None
    start = place + HEADER
    if length > len(data) - start:
        return None
    entry = data[start : start + length]
    return entry if crc32(entry, length) == checksum else None
