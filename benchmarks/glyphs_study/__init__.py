"""What the papers claim, measured on glyphs: ``python -m benchmarks.glyphs_study``."""
