"""What came out, for people: results as read, statistics, comparisons, figures and pages."""
