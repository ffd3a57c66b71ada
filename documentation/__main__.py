"""Writes all pages that are generated from the code and the tutorials: ``python -m documentation``."""

from documentation.pages import PAGES, pictures
from pml_potential.benchmark.files import write_bytes, write_text

for path, write in PAGES.items():
    write_text(path, write())
for path, picture in pictures().items():
    write_bytes(path, picture)
