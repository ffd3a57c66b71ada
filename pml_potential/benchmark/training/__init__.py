"""One fold, from data to score: batches, classes by name, the trainer, and its files."""
