"""How it travels: calls, replies, layers, events."""
