"""Potential fields and class means on plain tensors: no files, no global state."""
