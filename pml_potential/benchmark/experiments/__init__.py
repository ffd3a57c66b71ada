"""Experiments, searches, reproductions, work queues and studies."""
