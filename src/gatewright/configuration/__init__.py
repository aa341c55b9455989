"""The configuration: what can be set, where it is read from, and what it comes to."""
