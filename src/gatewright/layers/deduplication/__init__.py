"""Deduplication: identical calls under way are one call."""
