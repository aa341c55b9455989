"""Values by keys, for a time: in memory, in a file, in Redis."""

from gatewright.storage.keyvalue.protocol import Item, KeyValueStore

__all__ = ["Item", "KeyValueStore"]
