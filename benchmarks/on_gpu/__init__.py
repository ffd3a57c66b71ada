"""Measurements on a GPU: ``python -m benchmarks.on_gpu --data DIR --minutes 25``."""
