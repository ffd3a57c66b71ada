"""Writes all pages that are made from the code: ``python -m documentation``."""

from documentation.pages import PAGES
from pml_potential.benchmark.files import write_text

for path, write in PAGES.items():
    write_text(path, write())
