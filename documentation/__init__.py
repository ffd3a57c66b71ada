"""Generators of pages and pictures of ``docs`` from the code that they describe."""
