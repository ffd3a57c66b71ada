"""One fold, from data to score: batches, classes by name, the trainer, and what it leaves on disk."""
