"""Whether a configuration can be run is known before any work, at both ends of its search."""

import pytest

from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.experiments.runnable import check_runnable
from tests.benchmark.tiny import tiny_config


@pytest.mark.parametrize("loss", ["potential_field", "contrastive", "multi_similarity_miner"])
def test_what_can_be_run_passes(loss: str) -> None:
    check_runnable(tiny_config(loss=loss))


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("search.loss.params.proxies_per_class={low: -1, high: 2}", "proxies_per_class"),
        ("search.loss.params.delta={low: 0.5, high: 99.0}", "delta"),
        ("search.loss.params.delta={choices: [0.5, 0.4, 99.0]}", "delta is 99"),
        ("search.sampler.m={choices: [1, 2, 3]}", "sampler.m is 3"),
    ],
)
def test_the_ends_and_all_choices_of_the_search_are_built(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_runnable(tiny_config(assignment))


def test_a_value_between_the_ends_is_looked_at() -> None:
    with pytest.raises(
        ConfigError, match=r"search.sampler.m goes from 1 to 4, and .* not a multiple of 3"
    ):
        check_runnable(tiny_config("search.sampler.m={low: 1, high: 4}"))


def test_names_are_checked_first() -> None:
    unknown = with_values(tiny_config(), {"loss.params.alhpa": 1.0})
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        check_runnable(unknown)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ["model.embedding_size=1000000000000000"],
            "small_cnn with 1000000000000000 dimensions .* cannot be built",
        ),
        (["model.trunk_optimizer={name: Adam, lr: 0.1, betas: 3}"], "optimizer Adam: "),
        (["training.schedule={name: StepLr}"], "training.schedule.name: .*did you mean 'StepLR'"),
        (["protocol.study={trials: 1, startup_trials: 1, pruner: {name: Median}}"], "no 'Median'"),
    ],
)
def test_what_cannot_be_built_is_refused(assignments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_runnable(tiny_config(*assignments))


def test_a_block_that_the_trunk_has_not_is_told_with_those_that_it_has() -> None:
    with pytest.raises(ConfigError, match=r"model.freeze_until: .*'block.1'.*there are: 1, 3, 4, 6, 7$"):
        check_runnable(tiny_config("model.freeze_until=block.1"))
    check_runnable(tiny_config("model.freeze_until='3'"))


def test_a_loss_without_proxies_has_none_to_follow() -> None:
    config = tiny_config("protocol.proxy_alignment=true", loss="contrastive")
    with pytest.raises(ConfigError, match=r"protocol.proxy_alignment is true, but "):
        check_runnable(config)


def test_a_loss_that_needs_more_than_embeddings_and_labels_cannot_compute() -> None:
    assignments = [f"search.loss.params.{name}=null" for name in ("pos_margin", "neg_margin")]
    config = tiny_config("loss.name=VICRegLoss", *assignments, loss="contrastive")
    with pytest.raises(ConfigError, match=r"VICRegLoss with \{\} cannot compute a loss: "):
        check_runnable(config)


@pytest.mark.parametrize(
    "reducer", ["AvgNonZeroReducer", "MeanReducer", "PerAnchorReducer", "SumReducer"]
)
def test_a_reducer_makes_one_number(reducer: str) -> None:
    check_runnable(tiny_config(f"loss.reducer={{name: {reducer}}}"))


def test_a_reducer_that_makes_none_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"PotentialFieldLoss does not give a single number .*loss\.reducer"
    ):
        check_runnable(tiny_config("loss.reducer={name: DoNothingReducer}"))
