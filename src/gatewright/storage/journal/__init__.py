"""A journal on the local disk: what was appended is there after the process was killed, until it is drained."""

from gatewright.storage.journal.journal import Journal, JournalConfig
from gatewright.storage.journal.reader import JournalReader

__all__ = ["Journal", "JournalConfig", "JournalReader"]
