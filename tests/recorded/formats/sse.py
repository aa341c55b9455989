"""The events of a whole recorded stream."""

from __future__ import annotations

import json
from typing import Any


def events(body: bytes) -> list[Any]:
    """Give the parsed `data` of every event; `[DONE]` and comments are left out."""
    found: list[Any] = []
    for block in body.decode().replace("\r\n", "\n").split("\n\n"):
        data = "\n".join(line[5:].strip() for line in block.split("\n") if line.startswith("data:"))
        if data and data != "[DONE]":
            found.append(json.loads(data))
    return found
