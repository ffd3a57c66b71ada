"""What may be asked: schema, presets, seeds, and where a run keeps what."""
