"""The report of a run, and of a comparison: one HTML file that opens anywhere, offline."""

from pml_potential.benchmark.report.comparison_report import comparison_in_markdown, write_comparison
from pml_potential.benchmark.report.formatting import METRIC_NAMES
from pml_potential.benchmark.report.run_report import write_report

__all__ = ["METRIC_NAMES", "comparison_in_markdown", "write_comparison", "write_report"]
