"""The tiny benchmark as a person types it."""

from tests.benchmark.tiny import TINY

# What is trained matters little to a command, and an embedder on features is quick.
SETTINGS = [word for assignment in (*TINY, "model.freeze_trunk=true") for word in ("--set", assignment)]
ONE_TRIAL = ["--set", "protocol.study={trials: 1, startup_trials: 1}"]
ONE_FOLD = ["--set", "protocol.folds=1", "--set", "protocol.study=null"]

# A recipe on characters and a small network: what is left of it is how it is trained.
SMALL_RECIPE = [
    word
    for assignment in (
        *TINY[1:4],
        "protocol.reproductions=2",
        "dataset={name: glyphs}",
        "model.trunk=small_cnn",
        "model.weights=null",
        "model.input=null",
        "model.freeze_trunk=true",
    )
    for word in ("--set", assignment)
]
