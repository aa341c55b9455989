"""Utilities, by the SDK's path."""
