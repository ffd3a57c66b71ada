"""Ten losses on photographs, with a network that learns: ``python -m benchmarks.photographs DATA``."""
