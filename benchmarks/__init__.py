"""Figures, each beside its peer in the same run; `python -m benchmarks`."""
