"""The report of a run: one HTML file that opens anywhere, offline."""

from pml_potential.benchmark.report.formatting import METRIC_NAMES
from pml_potential.benchmark.report.run_report import write_report

__all__ = ["METRIC_NAMES", "write_report"]
