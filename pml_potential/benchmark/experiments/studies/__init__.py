"""Studies of runs that differ in one value: the label noise or a hyperparameter."""

from pml_potential.benchmark.experiments.studies.ablation import run_ablation
from pml_potential.benchmark.experiments.studies.label_noise import run_label_noise
from pml_potential.benchmark.experiments.studies.study import Point, Study, write_study

__all__ = ["Point", "Study", "run_ablation", "run_label_noise", "write_study"]
