"""The tiny benchmark as a person types it."""

from tests.benchmark.tiny import TINY

SETTINGS = [word for assignment in TINY for word in ("--set", assignment)]
ONE_TRIAL = ["--set", "protocol.study={trials: 1, startup_trials: 1}"]
ONE_FOLD = ["--set", "protocol.folds=1", "--set", "protocol.study=null"]
