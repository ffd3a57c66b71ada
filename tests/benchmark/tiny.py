"""The quick benchmark at the smallest size that still runs every step."""

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.training.names import check_names

PRESETS = {
    "protocol": "quick",
    "dataset": "glyphs",
    "model": "small_cnn",
    "loss": "potential_field",
}
TINY = (
    "protocol.folds=2",
    "protocol.batch_size=8",
    "protocol.iterations_per_epoch=2",
    "protocol.max_epochs=1",
    "protocol.study={trials: 2, startup_trials: 1}",
    "protocol.reproductions=2",
)

ALREADY_DONE = (
    r"\d of \d trials already done, best \d\.\d{3} in trial \d\n\d of \d reproductions already done\n"
)
"""What a run says that has nothing left to train."""


def tiny_config(*assignments: str, loss: str = "potential_field") -> Config:
    return compose(PRESETS | {"loss": loss}, [*TINY, *assignments], check_names)
