"""Measurements that the documentation quotes: each module writes JSON and the page made from it."""
