"""The real servers that the tests start: each on a free port, in a directory that goes away."""
