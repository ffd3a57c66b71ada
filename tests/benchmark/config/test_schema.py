"""What the schema refuses, and how the refusal names it."""

from typing import Any

import pytest
from pydantic import ValidationError

from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.schema import ConfigError, Crop, Dataset, Input, SearchRange
from tests.benchmark.config.configurations import composed, refusal


@pytest.mark.parametrize(
    ("assignment", "fragments"),
    [
        ("loss.optimizer.lr=1e-5", ["loss.optimizer.lr", "'1e-5' is text", "1.0e-5"]),
        ("loss.params.alpha=1e1", ["loss.params.alpha", "'1e1' is text"]),
        ("loss.params.alpha=much", ["loss.params.alpha", "number", "'much'"]),
        ("loss.params.alpha=[1, 2]", ["loss.params.alpha", "number", "[1, 2]"]),
        ("loss.params.alpha=.nan", ["loss.params.alpha", "nan"]),
        ("loss.optimizer.lr=.inf", ["loss.optimizer.lr", "finite", "inf"]),
        ("seed='1'", ["seed", "'1' is text"]),
        ("seed=1.5", ["seed", "integer", "1.5"]),
        ("seed=true", ["seed", "integer", "True"]),
        ("seed=", ["seed", "integer", "None"]),
        ("protocol=3", ["protocol", "dictionary", "3"]),
        ("seed.x=1", ["seed", "integer"]),
        ("loss={name: 3}", ["loss.name", "'3' is a number in YAML", "put it in quotes"]),
        ("search.loss.params.alpha=3", ["search.loss.params.alpha", "3"]),
        ("search.loss.params.alpha.log=1", ["search.loss.params.alpha.log", "boolean", "1"]),
    ],
)
def test_a_value_of_the_wrong_type_is_quoted(assignment: str, fragments: list[str]) -> None:
    message = refusal(assignment)
    assert all(fragment in message for fragment in [f"--set {assignment}", *fragments])


@pytest.mark.parametrize(
    "assignment",
    [
        "seed=-1",
        "protocol.folds=0",
        "protocol.batch_size=1",
        "protocol.iterations_per_epoch=0",
        "protocol.max_epochs=0",
        "protocol.validation_interval=0",
        "protocol.patience=-1",
        "protocol.study.trials=0",
        "protocol.study.startup_trials=0",
        "protocol.reproductions=1",
        "model.embedding_size=0",
        "model.trunk_optimizer.lr=0.0",
        "loss.optimizer.lr=-1.0",
        "loss.initialize_proxies_after_epoch=-1",
        "sampler.m=0",
    ],
)
def test_a_value_out_of_bounds_is_quoted_with_the_bound(assignment: str) -> None:
    path, _, value = assignment.partition("=")
    message = refusal(assignment)
    assert f"--set {assignment}: {path}: Input should be greater than" in message
    assert f"got {value}" in message


@pytest.mark.parametrize(
    ("assignment", "bound"),
    [
        ("dataset.label_noise=1.5", "less than or equal to 1"),
        ("protocol.crop={size: 4, flip: 1.5}", "less than or equal to 1"),
        ("protocol.crop={size: 4, scale: [0.0, 1.0]}", "greater than 0"),
        ("protocol.study.sampler=grid", "'gp', 'tpe' or 'random'"),
        ("model.pooling=min", "'avg', 'max' or 'avg_max'"),
        ("model.amp=float32", "'float16' or 'bfloat16'"),
        ("model.input={mean: [0.5], std: [1.0, 1.0, 1.0]}", "'model.input.mean.1' is missing"),
        ("model.input={mean: ['0', 0, 0], std: [1.0, 1.0, 1.0]}", "is text in YAML"),
    ],
)
def test_other_bounds_and_choices_are_told(assignment: str, bound: str) -> None:
    assert bound in refusal(assignment)


@pytest.mark.parametrize(
    ("assignments", "reason"),
    [
        (["protocol.folds=1"], "a search must not see the test classes"),
        (["sampler.m=3"], "protocol.batch_size is 32 and sampler.m is 3"),
        (
            ["protocol.max_epochs=2", "protocol.validation_interval=3"],
            "protocol.validation_interval is 3 and protocol.max_epochs is 2",
        ),
        (
            ["protocol.max_epochs=2", "loss.initialize_proxies_after_epoch=2"],
            "loss.initialize_proxies_after_epoch is 2 and protocol.max_epochs is 2",
        ),
        (["search.loss.params.alpha.low=9.0"], "low is 9.0 and high is 8.0; low must be below high"),
        (["search.loss.optimizer.lr.low=0.0"], "low is 0.0; a logarithmic range must lie above 0"),
        (["training.clipped=network"], "training: clipped is 'network', but nothing is clipped"),
        (["search.nothing.here={low: 1, high: 2}"], "search.nothing.here: 'nothing' cannot be searched"),
        (
            ["search.protocol.folds={low: 2, high: 4}"],
            "search.protocol.folds: 'protocol' cannot be searched",
        ),
    ],
)
def test_values_that_do_not_go_together_are_named(assignments: list[str], reason: str) -> None:
    assert reason in refusal(*assignments)


@pytest.mark.parametrize(
    "assignments",
    [
        ["protocol.folds=1", "protocol.study=null"],
        ["protocol.max_epochs=3", "protocol.validation_interval=3"],
        ["protocol.max_epochs=3", "loss.initialize_proxies_after_epoch=2"],
        ["protocol.batch_size=31", "sampler.m=null"],
        ["training.clipped=network", "training.clip_norm=0.5"],
        ["training.clipped=network", "training.clip_value=0.5"],
    ],
)
def test_values_on_the_edge_go_together(assignments: list[str]) -> None:
    config = composed(*assignments).model_dump()
    for assignment in assignments:
        path, _, value = assignment.partition("=")
        section, _, key = path.rpartition(".")
        assert str(config[section][key]).replace("None", "null") == value


def test_a_range_is_not_searched_where_there_is_no_study() -> None:
    with pytest.raises(ConfigError, match=r"search: loss\.params\.alpha, .* protocol\.study is null"):
        with_values(composed(), {"protocol.study": None})


def test_a_range_may_begin_at_zero_unless_it_is_logarithmic() -> None:
    assert SearchRange(low=0, high=1).log is False
    with pytest.raises(ValidationError, match="must lie above 0"):
        SearchRange(low=0, high=1, log=True)
    with pytest.raises(ValidationError, match="low must be below high"):
        SearchRange(low=1, high=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "it needs low and high, or choices"),
        ({"low": 1.0}, "it needs low and high, or choices"),
        ({"choices": ["avg", "max"], "high": 2}, "has both choices and low, high or log"),
        ({"choices": ["avg", "max"], "log": True}, "has both choices and low, high or log"),
        ({"choices": ["avg"]}, r"choices are \['avg'\]; give at least two, all different"),
        ({"choices": []}, "it needs low and high, or choices"),
        ({"choices": ["avg", "max", "avg"]}, "give at least two, all different"),
    ],
)
def test_a_search_has_two_ends_or_several_choices(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SearchRange(**values)


def test_choices_are_told_apart_by_kind_and_value() -> None:
    assert SearchRange(choices=(1, True, None, "1")).extremes == (1, True, None, "1")
    assert SearchRange(low=1, high=3).extremes == (1, 3)


@pytest.mark.parametrize(
    "assignment",
    [
        "search.model.trunk={choices: [small_cnn, bn_inception]}",
        "search.model.weights={choices: [download, a.pth]}",
        "search.model.pooling={choices: [avg, max]}",
    ],
)
def test_what_a_run_is_bound_to_is_not_searched(assignment: str) -> None:
    with pytest.raises(ConfigError, match="all trials of a run share one trunk, weights and pooling"):
        composed(assignment)


def test_a_head_starts_at_random_unless_told_otherwise() -> None:
    assert composed().model.head.start == "random"
    with pytest.raises(ConfigError, match=r"model\.head\.start: .*'random' or 'pca', got 'lda'"):
        composed("model.head.start=lda")


def test_a_table_has_no_coarser_classes() -> None:
    with pytest.raises(ValidationError, match="no protocol uses a second, coarser level of classes"):
        Dataset.model_validate({"name": "table", "columns": {"parent": "genus"}})


def test_lists_of_yaml_become_tuples() -> None:
    crop = Crop.model_validate({"size": 8, "scale": [0.5, 1.0]})
    model_input = Input.model_validate({"mean": [0.0, 1, 2.5], "std": [1.0, 1.0, 1.0]})
    assert (crop.scale, model_input.mean) == ((0.5, 1.0), (0.0, 1.0, 2.5))


def test_arguments_of_an_optimizer_are_all_but_its_name() -> None:
    optimizer = composed(
        "loss.optimizer={name: Adam, lr: 0.1, amsgrad: true, eps: 1.0e-6}"
    ).loss.optimizer
    assert optimizer is not None
    assert optimizer.arguments == {"lr": 0.1, "amsgrad": True, "eps": 1e-6}


@pytest.mark.parametrize("section", ["protocol", "dataset", "model", "loss", "sampler", "training"])
def test_a_configuration_cannot_be_changed(section: str) -> None:
    config: Any = composed()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, section, None)
    name = next(iter(type(getattr(config, section)).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(getattr(config, section), name, None)


def test_an_error_knows_the_keys_of_the_value() -> None:
    assert ConfigError("wrong").keys == ()
    with pytest.raises(ConfigError) as raised:
        composed("dataset.name=cub")
    assert raised.value.keys == ("dataset", "name")


def test_a_trunk_is_frozen_whole_or_until_a_block() -> None:
    message = refusal("model.freeze_trunk=true", "model.freeze_until=blocks.5")
    assert "freeze_trunk is true and freeze_until is 'blocks.5'" in message
    assert "leave one out" in message
