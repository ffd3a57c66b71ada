"""Run the study, or what is left of it, and write results, figures and page."""

from benchmarks.glyphs_study.figures import draw_figures
from benchmarks.glyphs_study.measurements import measure
from benchmarks.glyphs_study.page import DOCS, PAGE, RESULTS, page
from pml_potential.benchmark.records import read_json, write_json, write_text

write_json(RESULTS, measure())
results = read_json(RESULTS)
for name, figure in draw_figures(results).items():
    figure.savefig(DOCS / "images" / f"{name}.png", dpi=110)
write_text(PAGE, page(results))
