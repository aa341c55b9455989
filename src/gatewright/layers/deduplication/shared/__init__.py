"""Identical calls of several processes, shared through Redis."""

from gatewright.layers.deduplication.shared.board import SharedBoard
from gatewright.layers.deduplication.shared.layer import SharedFlightsLayer

__all__ = ["SharedBoard", "SharedFlightsLayer"]
