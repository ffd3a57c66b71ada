"""The search: a real Optuna study of fold means, in which what diverges fails and never scores."""

import io
import math
import re
import socket
from pathlib import Path
from statistics import mean

import optuna
import pytest
from optuna.samplers import GPSampler
from optuna.trial import TrialState
from rich.console import Console

from pml_potential.benchmark.config.run_folder import RunFolder, feature_cache
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.config.seeds import derive_seed
from pml_potential.benchmark.data.folds import FoldData
from pml_potential.benchmark.experiments.fold_processes import FoldRunner
from pml_potential.benchmark.experiments.progress import RunProgress
from pml_potential.benchmark.experiments.search import (
    STUDY,
    SearchFailedError,
    failure_of,
    run_search,
    with_best_trial,
)
from pml_potential.benchmark.experiments.sharing import HEARTBEAT
from pml_potential.benchmark.experiments.trial_storage import TrialStorage, open_storage
from pml_potential.benchmark.experiments.work_queue import FAILURE, NUMBER, WORKER, ended_pieces, requeue
from pml_potential.benchmark.files import read_json
from tests.benchmark.conftest import Experiment
from tests.benchmark.tiny import tiny_config

UNSEARCHED = ("search.loss.params.alpha=null", "search.loss.params.delta=null")
DIVERGING = "search.model.trunk_optimizer.lr={low: 1.0e+29, high: 1.0e+30}"
DIVERGING_AT_TIMES = "search.model.trunk_optimizer.lr={low: 1.0e-30, high: 1.0e+30, log: true}"
FOUR_STEPS = "protocol.iterations_per_epoch=4"


def own_storage(folder: Path) -> TrialStorage:
    return open_storage(RunFolder(folder), None, HEARTBEAT, requeue)


def search(config: Config, data: FoldData, folder: Path) -> tuple[optuna.Study, str]:
    console = Console(file=io.StringIO(), width=200)
    cache = feature_cache(folder)
    with (
        RunProgress(console, total_folds=4) as progress,
        FoldRunner(data, cache, progress, 1) as runner,
    ):
        study = run_search(config, runner, RunFolder(folder), own_storage(folder), progress)
    assert isinstance(console.file, io.StringIO)
    return study, console.file.getvalue()


def load(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{folder / 'study.db'}")


def test_the_study_is_one_that_optuna_opens(experiment: Experiment) -> None:
    study = load(experiment.folder)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    assert [trial.params for trial in study.trials] == [
        trial["params"] for trial in experiment.results["trials"]
    ]


def test_a_score_is_the_mean_over_the_folds(experiment: Experiment) -> None:
    for trial in load(experiment.folder).trials:
        paths = sorted((experiment.folder / "trials" / f"{trial.number:04d}").glob("fold_*/result.json"))
        assert len(paths) == 2
        assert trial.value == mean(read_json(path)["score"] for path in paths)


def test_every_value_is_within_its_range(experiment: Experiment) -> None:
    for trial in load(experiment.folder).trials:
        assert trial.params.keys() == experiment.config.search.keys()
        for path, found in experiment.config.search.items():
            assert found.low <= trial.params[path] <= found.high


def test_no_two_trials_are_the_same(experiment: Experiment) -> None:
    params = [tuple(trial.params.values()) for trial in load(experiment.folder).trials]
    assert len(set(params)) == 4


def test_the_best_configuration_has_the_best_trials_values(experiment: Experiment) -> None:
    study = load(experiment.folder)
    best = max(study.trials, key=lambda trial: trial.value or 0)
    config = with_best_trial(experiment.config, study)
    assert config.loss.params["alpha"] == best.params["loss.params.alpha"]
    assert config.loss.optimizer is not None
    assert config.loss.optimizer.lr == best.params["loss.optimizer.lr"]
    assert config.model == experiment.config.model


def test_after_the_random_trials_the_gaussian_process_proposes(experiment: Experiment) -> None:
    study = load(experiment.folder)
    proposed = study.trials[2]
    again = optuna.create_study(direction="maximize")
    again.add_trials(study.trials[:2])
    distributions = proposed.distributions
    seeds = {"gp": (GPSampler, 2), "random": (GPSampler, 99)}
    asked = {}
    for name, (sampler, startup) in seeds.items():
        again.sampler = sampler(seed=derive_seed(5, "sampler", 2), n_startup_trials=startup)
        asked[name] = again.ask(distributions).params
    assert proposed.params == pytest.approx(asked["gp"])
    assert proposed.params != pytest.approx(asked["random"])


def test_another_seed_gives_other_trials(fold_data: FoldData, tmp_path: Path) -> None:
    one_trial = "protocol.study={trials: 1, startup_trials: 1}"
    trials = [
        search(tiny_config(one_trial, f"seed={seed}"), fold_data, tmp_path / str(seed))[0].best_trial
        for seed in (0, 1)
    ]
    assert trials[0].params != trials[1].params
    assert trials[0].value != trials[1].value


def test_without_anything_to_search_there_is_one_trial(fold_data: FoldData, tmp_path: Path) -> None:
    config = tiny_config(*UNSEARCHED, "search.loss.optimizer.lr=null")
    study, _ = search(config, fold_data, tmp_path)
    assert [trial.params for trial in study.trials] == [{}]
    assert with_best_trial(config, study) == config


def test_whole_numbers_are_searched_as_whole_numbers(fold_data: FoldData, tmp_path: Path) -> None:
    searched = "search.loss.params.proxies_per_class={low: 1, high: 3}"
    study, _ = search(tiny_config(*UNSEARCHED, searched), fold_data, tmp_path)
    assert all(type(trial.params["loss.params.proxies_per_class"]) is int for trial in study.trials)


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_words_are_searched_as_words(fold_data: FoldData, tmp_path: Path, sampler: str) -> None:
    config = tiny_config(
        "search.loss.params.pos_margin=null",
        "search.model.head.start={choices: [random, pca]}",
        f"protocol.study={{trials: 5, startup_trials: 2, sampler: {sampler}}}",
        loss="contrastive",
    )
    study, _ = search(config, fold_data, tmp_path)
    tried = [trial.params["model.head.start"] for trial in study.trials]
    assert set(tried) == {"random", "pca"}
    assert with_best_trial(config, study).model.head.start == study.best_trial.params["model.head.start"]
    # A study that was lost is made anew from what the trials wrote.
    (tmp_path / "study.db").unlink()
    again, _ = search(config, fold_data, tmp_path)
    assert [trial.params["model.head.start"] for trial in again.trials] == tried


def test_a_diverging_trial_fails_with_its_reason(fold_data: FoldData, tmp_path: Path) -> None:
    four = "protocol.study={trials: 4, startup_trials: 4}"
    config = tiny_config(DIVERGING_AT_TIMES, FOUR_STEPS, four, loss="contrastive")
    config = config.model_copy(
        update={"search": {path: found for path, found in config.search.items() if "trunk" in path}}
    )
    study, output = search(config, fold_data, tmp_path)
    failed = study.get_trials(states=(TrialState.FAIL,))
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert failed
    assert complete
    assert len(failed) + len(complete) == 4 == len(ended_pieces(study))
    for trial in failed:
        reason = failure_of(trial)
        assert trial.value is None
        assert reason is not None
        assert re.match(r"fold 1: .*epoch 1", reason)
        assert f": failed in {reason}" in output
    assert all(trial.value and math.isfinite(trial.value) for trial in complete)
    assert study.best_trial.number in [trial.number for trial in complete]


def test_a_search_in_which_the_first_trials_all_fail_stops_and_says_why(
    fold_data: FoldData, tmp_path: Path
) -> None:
    three = "protocol.study={trials: 5, startup_trials: 3}"
    config = tiny_config(*UNSEARCHED, "search.loss.optimizer.lr=null", DIVERGING, FOUR_STEPS, three)
    for _ in range(2):
        with pytest.raises(
            SearchFailedError, match=r"first 3 of 5 trials all failed; trial 1 in fold 1: .*epoch 1"
        ):
            search(config, fold_data, tmp_path)
    states = [trial.state for trial in load(tmp_path).trials]
    assert states == [TrialState.FAIL] * 3


def test_a_fold_that_diverges_at_its_last_step_fails_its_trial(
    fold_data: FoldData, tmp_path: Path
) -> None:
    one_step = "protocol.iterations_per_epoch=1"
    config = tiny_config(*UNSEARCHED, "search.loss.optimizer.lr=null", DIVERGING, one_step)
    with pytest.raises(SearchFailedError):
        search(config, fold_data, tmp_path)


def test_a_trial_that_failed_as_it_was_killed_is_not_run_again(
    fold_data: FoldData, tmp_path: Path
) -> None:
    config = tiny_config("protocol.study={trials: 1, startup_trials: 1}")
    study = own_storage(tmp_path).open(STUDY)
    study.enqueue_trial({}, user_attrs={NUMBER: 0})
    killed = study.ask()
    killed.set_user_attr(WORKER, f"{socket.gethostname()}:1")
    killed.set_user_attr(FAILURE, "fold 1: the loss is nan")
    with pytest.raises(SearchFailedError, match="the loss is nan"):
        search(config, fold_data, tmp_path)
    assert [trial.state for trial in load(tmp_path).trials] == [TrialState.FAIL]


def test_a_trial_that_was_killed_before_it_had_values_does_not_count(
    fold_data: FoldData, tmp_path: Path
) -> None:
    config = tiny_config("protocol.study={trials: 1, startup_trials: 1}")
    begun = own_storage(tmp_path / "killed").open(STUDY)
    begun.enqueue_trial({}, user_attrs={NUMBER: 0})
    begun.ask().suggest_float("loss.params.alpha", 0, 4)
    killed, _ = search(config, fold_data, tmp_path / "killed")
    whole, _ = search(config, fold_data, tmp_path / "whole")
    assert killed.best_trial.params == whole.best_trial.params
    assert killed.best_value == whole.best_value


def test_a_pruner_ends_hopeless_trials_by_the_mean_of_their_folds(
    experiment: Experiment, fold_data: FoldData, tmp_path: Path
) -> None:
    scores = [trial["folds"][0]["score"] for trial in experiment.results["trials"][:2]]
    pruner = f"pruner: {{name: ThresholdPruner, params: {{lower: {mean(scores)}}}}}"
    config = tiny_config(f"protocol.study={{trials: 2, startup_trials: 2, {pruner}}}", "seed=5")
    study, _ = search(config, fold_data, tmp_path)
    hopeless, good = sorted(study.trials, key=lambda trial: scores[trial.number])
    assert hopeless.state is TrialState.PRUNED
    assert failure_of(hopeless) == "fold 1: pruned"
    assert hopeless.intermediate_values == {1: min(scores)}
    assert not (tmp_path / "trials" / f"{hopeless.number:04d}" / "fold_1").exists()
    assert good.state is TrialState.COMPLETE
    assert good.intermediate_values == {1: max(scores), 2: good.value}
    assert with_best_trial(config, study).loss.params["alpha"] == good.params["loss.params.alpha"]


def test_a_search_in_which_the_first_trials_are_all_pruned_stops_and_blames_the_pruner(
    fold_data: FoldData, tmp_path: Path
) -> None:
    pruner = "pruner: {name: ThresholdPruner, params: {lower: 1.1}}"
    config = tiny_config(f"protocol.study={{trials: 3, startup_trials: 2, {pruner}}}")
    with pytest.raises(SearchFailedError, match=r"first 2 of 3 trials were all pruned\. Choose"):
        search(config, fold_data, tmp_path)
