"""Configuration: schema, presets, seeds, and the files of a run."""
