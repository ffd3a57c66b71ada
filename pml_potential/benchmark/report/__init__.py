"""What came out, for people: results as read, statistics, comparisons, figures and pages."""

from pml_potential.benchmark.report.comparison_report import comparison_in_markdown, write_comparison
from pml_potential.benchmark.report.formatting import METRIC_NAMES
from pml_potential.benchmark.report.run_report import write_report

__all__ = ["METRIC_NAMES", "comparison_in_markdown", "write_comparison", "write_report"]
