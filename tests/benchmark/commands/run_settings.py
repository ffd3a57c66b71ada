"""The tiny benchmark as a person types it."""

from tests.benchmark.tiny import TINY

# What is trained matters little to a command, and an embedder on features is quick.
SETTINGS = [word for assignment in (*TINY, "model.freeze_trunk=true") for word in ("--set", assignment)]
ONE_TRIAL = ["--set", "protocol.study={trials: 1, startup_trials: 1}"]
ONE_FOLD = ["--set", "protocol.folds=1", "--set", "protocol.study=null"]
