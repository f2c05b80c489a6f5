"""The HTML report of a run."""

from simengine.report.page import write_report

__all__ = ["write_report"]
