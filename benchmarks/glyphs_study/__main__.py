"""Run the study, or its remaining parts, and write results, figures and page."""

from benchmarks.glyphs_study.measurements import measure
from benchmarks.glyphs_study.page import RESULTS, write_page
from pml_potential.benchmark.files import write_json

write_json(RESULTS, measure())
write_page()
