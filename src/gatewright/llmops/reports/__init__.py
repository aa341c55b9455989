"""What the records add up to: metrics, costs, series for charts."""

from gatewright.llmops.reports.reports import Reports

__all__ = ["Reports"]
