"""What may be asked of the benchmark: keys, presets, names and seeds, and where a run keeps what."""
