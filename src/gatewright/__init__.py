"""Gatewright: one gateway to every large language model, embedded or served."""

__version__ = "0.1.0"
