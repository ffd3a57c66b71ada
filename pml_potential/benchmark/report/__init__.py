"""Reports: results as read, statistics, comparisons, figures and pages."""
