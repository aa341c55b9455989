"""Where things are kept: stores that processes share, opened by URL."""
