"""Composing configurations, and the errors of those that cannot be run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pml_potential.benchmark.config.composing import (
    compose,
    differences,
    read_saved,
    to_yaml,
    with_values,
)
from pml_potential.benchmark.config.schema import ConfigError, SearchRange
from pml_potential.benchmark.experiments.search import trials_to_run
from tests.benchmark.config.configurations import LOSS_FILE, composed, own_file, refusal
from tests.benchmark.tiny import PRESETS, tiny_config


def test_a_protocol_without_a_study_searches_nothing() -> None:
    config = composed(protocol="traditional", loss="potential_field")
    assert config.search == {}
    assert trials_to_run(config) == 0


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("seed=7", "seed", 7),
        ("protocol.max_epochs=3", "protocol.max_epochs", 3),
        ("protocol.study.trials=3", "protocol.study.trials", 3),
        ("model.trunk_optimizer.lr=0.1", "model.trunk_optimizer.lr", 0.1),
        ("loss.params.alpha=2.5", "loss.params.alpha", 2.5),
        ("loss.params.delta_rep=null", "loss.params.delta_rep", None),
        ("loss.optimizer.momentum=0", "loss.optimizer.momentum", 0),
        ("loss.initialize_proxies_after_epoch=1", "loss.initialize_proxies_after_epoch", 1),
        ("sampler.m=2", "sampler.m", 2),
    ],
)
def test_set_changes_one_value_and_nothing_else(assignment: str, path: str, value: Any) -> None:
    expected = composed().model_dump()
    *parents, last = path.split(".")
    section = expected
    for key in parents:
        section = section[key]
    section[last] = value
    assert composed(assignment).model_dump() == expected


@pytest.mark.parametrize(
    ("typed", "root"),
    [
        ("imgs #2", "imgs #2"),
        ("2024-01-05", "2024-01-05"),
        ("no", "no"),
        ("1", "1"),
        ("1e5", "1e5"),
        ("a: b", "a: b"),
        ("[old]", "[old]"),
        ("{x}", "{x}"),
        ("*", "*"),
        ("a=b", "a=b"),
        ("'tis", "'tis"),
        ("C:\\imgs", "C:\\imgs"),
        (" imgs ", "imgs"),
        ("'imgs #2'", "imgs #2"),
        ('"a\\tb"', "a\tb"),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_where_text_is_due_what_was_typed_is_the_text(typed: str, root: str | None) -> None:
    assert composed(f"dataset.root={typed}").dataset.root == root


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("2024-01-05", "'2024-01-05' is a date in YAML"),
        ("2024-01-05 10:00:00", "'2024-01-05 10:00:00' is a time in YAML"),
        ("no", "'False' is true or false in YAML"),
        ("5", "'5' is a number in YAML"),
        ("[a]", "\"['a']\" is a list in YAML"),
        ("{a: b}", "\"{'a': 'b'}\" is keys and values in YAML"),
    ],
)
def test_what_yaml_takes_for_something_else_gets_the_hint_to_quote(
    value: str, kind: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"dataset: {{name: folder, root: {value}}}")
    with pytest.raises(ConfigError) as refused:
        compose(PRESETS | {"dataset": str(file)})
    assert str(refused.value) == (
        f"{file}: dataset.root: {kind}, where text is expected; put it in quotes"
    )


@pytest.mark.parametrize("root", ["caf\udce9", "a\0b"])
@pytest.mark.parametrize("key", ["dataset.root", "dataset.columns.label", "protocol.name"])
def test_a_name_that_is_no_text_is_refused_in_words(key: str, root: str) -> None:
    with pytest.raises(ConfigError) as refused:
        composed(f"{key}={root}")
    assert str(refused.value) == (
        f"--set {key}={root}: {key}: it must be text in UTF-8, without NUL; rename the file or folder, "
        f"got {root!r}"
    )


def test_set_of_a_section_merges() -> None:
    study = composed("protocol.study={trials: 3}").protocol.study
    assert study is not None
    assert (study.trials, study.startup_trials) == (3, 4)


def test_the_last_assignment_wins() -> None:
    assert composed("seed=1", "seed=2").seed == 2


def test_later_kinds_lie_over_earlier_ones_and_assignments_over_all(tmp_path: Path) -> None:
    protocol = composed().model_dump()["protocol"]
    text = yaml.safe_dump({"protocol": protocol, "seed": 1, "sampler": {"m": 16}})
    (tmp_path / "protocol.yaml").write_text(text)
    both = {"protocol": str(tmp_path / "protocol.yaml"), "loss": own_file(tmp_path, LOSS_FILE)}
    assert compose(PRESETS | both).seed == 11
    assert compose(PRESETS | both).sampler.m == 2
    assert compose(PRESETS | both, ["seed=12"]).seed == 12


def test_a_search_range_is_added_changed_and_taken_out() -> None:
    assert composed("search.loss.params.delta_rep={low: 0.1, high: 0.9}").search[
        "loss.params.delta_rep"
    ].model_dump() == {"low": 0.1, "high": 0.9, "log": False, "choices": ()}
    before = composed().search["loss.params.alpha"]
    alpha = composed("search.loss.params.alpha.high=4.0").search["loss.params.alpha"]
    assert (alpha.low, alpha.high) == (before.low, 4.0)
    left = composed("search.loss.params.alpha=null").search
    assert left.keys() == composed().search.keys() - {"loss.params.alpha"}


def test_choices_take_the_place_of_a_range_and_the_other_way(tmp_path: Path) -> None:
    path = "loss.params.delta"
    found = composed(f"search.{path}={{choices: [1.0, 4.0]}}").search[path]
    assert found == SearchRange(choices=(1.0, 4.0))
    assert composed(f"search.{path}.choices=[1.0, 4.0]").search[path] == found
    own = own_file(tmp_path, LOSS_FILE + f"search: {{{path}: {{choices: [1.0, 2.0]}}}}\n")
    ends = composed(f"search.{path}={{low: 0.5, high: 2.0}}", loss=own).search[path]
    assert ends == SearchRange(low=0.5, high=2.0)
    assert composed(f"search.{path}.choices=[2.0, 3.0]", loss=own).search[path].choices == (2.0, 3.0)


def test_arguments_are_assigned_together() -> None:
    assert composed("loss.params={alpha: 2.0, delta: 0.3}").loss.params["alpha"] == 2.0


def test_a_choice_that_is_not_allowed_is_refused_with_its_origin() -> None:
    assignment = "search.model.head.start={choices: [random, pac]}"
    message = refusal(assignment)
    assert f"--set {assignment}: search.model.head.start: " in message
    assert "'random' or 'pca', got 'pac'" in message
    nested = refusal("search.model.head.start={choices: [random, [pca]]}")
    assert nested.endswith("search.model.head.start.choices.1: it must be a number or text, got ['pca']")
    (line,) = refusal("search.model.head.start={choices: [random, 2024-01-05]}").splitlines()
    assert line.endswith("'2024-01-05' is a date in YAML, where text is expected; put it in quotes")
    unknown = refusal("search.model.haed.start={choices: [random, pca]}")
    assert "model.haed" in unknown


def test_everything_can_be_taken_out_of_the_search() -> None:
    assert composed(*(f"search.{path}=null" for path in composed().search)).search == {}


def test_taking_out_what_is_not_searched_is_refused() -> None:
    message = refusal("search.loss.params.alhpa=null")
    assert "loss.params.alhpa" in message
    assert "'loss.params.alpha'" in message


def test_another_optimizer_does_not_inherit_arguments(tmp_path: Path) -> None:
    by_set = composed("loss.optimizer={name: Adam, lr: 0.1}").loss.optimizer
    assert by_set is not None
    assert by_set.arguments == {"lr": 0.1}
    model = tmp_path / "model.yaml"
    optimizer = {"name": "RMSprop", "lr": 0.1, "momentum": 0.9}
    model.write_text(
        yaml.safe_dump({"model": composed().model_dump()["model"] | {"trunk_optimizer": optimizer}})
    )
    loss = own_file(tmp_path, LOSS_FILE + "model: {trunk_optimizer: {name: Adam, lr: 0.2}}\n")
    assert composed(model=str(model), loss=loss).model.trunk_optimizer.arguments == {"lr": 0.2}


def test_the_same_optimizer_keeps_its_other_arguments() -> None:
    optimizer = composed("loss.optimizer={name: RMSprop, lr: 0.1}").loss.optimizer
    assert optimizer is not None
    assert optimizer.arguments == {"lr": 0.1, "weight_decay": 1e-4, "momentum": 0.9}


def test_another_loss_does_not_inherit_arguments() -> None:
    loss = composed(
        "loss={name: ContrastiveLoss, params: {neg_margin: 0.5}}",
        *(f"search.{path}=null" for path in composed().search),
    ).loss
    assert loss.params == {"neg_margin": 0.5}
    assert loss.optimizer is None


@pytest.mark.parametrize(
    ("assignment", "key", "nearest"),
    [
        ("sed=1", "sed", "seed"),
        ("protocol.max_epoch=1", "protocol.max_epoch", "max_epochs"),
        ("protocol.study.trails=1", "protocol.study.trails", "trials"),
        ("dataset.nmae=glyphs", "dataset.nmae", "name"),
        ("model.embeding_size=4", "model.embeding_size", "embedding_size"),
        ("loss.optimiser={name: Adam, lr: 0.1}", "loss.optimiser", "optimizer"),
        ("sampler.n=4", "sampler.n", None),
        ("search.loss.params.alpha={low: 1.0, hihg: 2.0}", "search.loss.params.alpha.hihg", "high"),
        ("search.loss.params.alpha.hihg=2.0", "search.loss.params.alpha.hihg", "high"),
        ("loss.params.alhpa=2.0", "alhpa", "alpha"),
        ("loss.optimizer.momentun=0.9", "momentun", "momentum"),
        ("model.trunk_optimizer.weight_decai=0.9", "weight_decai", "weight_decay"),
    ],
)
def test_an_unknown_key_is_named_with_its_origin_and_the_nearest(
    assignment: str, key: str, nearest: str | None
) -> None:
    message = refusal(assignment)
    assert key in message
    if nearest:
        assert f"did you mean {nearest!r}" in message
    assert f"--set {assignment}" in message


@pytest.mark.parametrize(
    ("wrong", "fragments"),
    [
        ("{loss: {nam: X}}", ["'loss.nam'", "did you mean 'name'"]),
        ("{loss: {name: CPMLLoss, params: {dleta: 0.1}}}", ["dleta", "did you mean 'delta'"]),
        ("{sampler: {m: '4'}}", ["sampler.m", "'4'"]),
        ("{loss: {optimizer: {lr: 1e-5}}}", ["loss.optimizer.lr", "'1e-5'", "1.0e-5"]),
        ("{loss: {optimizer: {lr: -1.0}}}", ["loss.optimizer.lr", "greater than 0", "-1.0"]),
        ("{search: {loss.params.delta: {low: 2.0, high: 1.0}}}", ["low is 2.0", "high is 1.0"]),
        ("{search: {loss.parms.delta: {low: 0.1, high: 1.0}}}", ["loss.parms.delta", "'loss.parms'"]),
    ],
)
def test_errors_name_the_file(tmp_path: Path, wrong: str, fragments: list[str]) -> None:
    values = yaml.safe_load(LOSS_FILE)
    for section, keys in yaml.safe_load(wrong).items():
        for key, value in keys.items():
            below = values[section].get(key)
            values[section][key] = below | value if isinstance(below, dict) else value
    path = own_file(tmp_path, yaml.safe_dump(values))
    message = refusal(loss=path)
    assert all(fragment in message for fragment in [path, *fragments])


def test_an_error_names_the_assignment_that_laid_the_value() -> None:
    wrong = "loss.optimizer={name: Adam, lr: -1.0}"
    assert f"--set {wrong}" in refusal("loss.optimizer.lr=0.1", wrong)


@pytest.mark.parametrize(
    ("assignment", "fragments"),
    [
        ("loss.params.alpha=100.0", ["alpha is 100.0"]),
        ("search.loss.params.alpha.high=100.0", ["alpha is 100.0"]),
        (
            "search.loss.params.alhpa={low: 1.0, high: 2.0}",
            ["loss.params.alhpa'", "did you mean 'alpha'"],
        ),
        ("loss.optimizer.weight_decay=-1.0", ["weight_decay", "-1.0"]),
        ("model.trunk_optimizer={name: Adma, lr: 0.1}", ["'Adma'"]),
        ("loss.optimizer=null", ["loss.optimizer"]),
        ("dataset.name=cub", ["dataset.name", "did you mean 'cub200'", "glyphs", "'cub'"]),
        ("model.trunk=resnet", ["model.trunk", "'small_cnn'", "'resnet'"]),
        ("loss.name=PotentialFeildLoss", ["'PotentialFeildLoss'", "did you mean 'PotentialFieldLoss'"]),
    ],
)
def test_what_cannot_be_built_is_refused_before_the_run(assignment: str, fragments: list[str]) -> None:
    unsearched = ["search.loss.params.alpha=null"] if assignment.startswith("loss.params.") else []
    message = refusal(assignment, *unsearched)
    assert all(fragment in message for fragment in fragments)


def test_a_loss_of_pml_with_a_number_as_its_distance_is_refused() -> None:
    assert "distance" in refusal("loss.params.distance=2.0", loss="contrastive")


@pytest.mark.parametrize("assignment", ["seed", "=3", "", "seed=[1"])
def test_what_is_no_assignment_is_refused(assignment: str) -> None:
    assert f"--set {assignment}" in refusal(assignment)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is no YAML"),
        ("- 1\n- 2", "holds list"),
        ("", "must hold keys and values"),
        ("hello", "holds str"),
    ],
)
def test_a_file_without_keys_and_values_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = own_file(tmp_path, text)
    assert f"{path} {reason}" in refusal(loss=path) or reason in refusal(loss=path)
    assert path in refusal(loss=path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"seed: \xff")
    assert f"{path} is no YAML" in refusal(loss=str(path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "missing.yaml")
    assert f"{path} cannot be read: No such file" in refusal(loss=path)


def test_a_missing_key_is_named_with_its_file(tmp_path: Path) -> None:
    path = own_file(tmp_path, LOSS_FILE.replace("lr: 0.5", "momentum: 0.5"))
    assert f"{path}: 'loss.optimizer.lr' is missing" in refusal(loss=path)


def test_all_problems_are_told_at_once() -> None:
    message = refusal("seed=-1", "sampler.m=0")
    assert "seed" in message
    assert "sampler.m" in message


def test_a_saved_configuration_is_read_as_it_was(tmp_path: Path) -> None:
    config = composed("loss.optimizer.lr=1.0e-7", "loss.params.delta_rep=null", "training.clip_norm=2.0")
    found = read_saved(Path(own_file(tmp_path, to_yaml(config))))
    assert found == config
    assert differences(found, config) == []


def test_a_damaged_saved_configuration_is_refused_with_its_path(tmp_path: Path) -> None:
    path = own_file(tmp_path, to_yaml(composed()).replace("folds: 4", "folds: four"))
    with pytest.raises(ConfigError, match=r"mine\.yaml: protocol\.folds.*'four'"):
        read_saved(Path(path))


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("seed=3", "seed: 0 and 3"),
        ("protocol.study.trials=3", "protocol.study.trials: 8 and 3"),
        ("loss.params.alpha=3.0", "loss.params.alpha: 1.0 and 3.0"),
        ("search.loss.params.alpha.high=7.5", "search.loss.params.alpha.high: 7.0 and 7.5"),
        ("loss.params.delta_rep=0.5", "loss.params.delta_rep: nothing and 0.5"),
    ],
)
def test_a_difference_is_named_with_both_values(assignment: str, line: str) -> None:
    base = ("loss.params.alpha=1.0", "search.loss.params.alpha.high=7.0")
    assert differences(composed(*base), composed(*base, assignment)) == [line]


@pytest.mark.parametrize("assignment", ["search.loss.params.alpha=null", "loss.params.delta_rep=null"])
def test_configurations_that_are_not_equal_have_a_difference(assignment: str) -> None:
    assert composed() != composed(assignment)
    assert differences(composed(), composed(assignment))


def test_with_values_replaces_by_dotted_path() -> None:
    before = composed("loss.params.alpha=1.0")
    config = with_values(before, {"loss.params.alpha": 3.0, "loss.optimizer.lr": 0.25})
    assert config.loss.optimizer is not None
    assert (config.loss.params["alpha"], config.loss.optimizer.lr) == (3.0, 0.25)
    assert before.loss.params["alpha"] == 1.0


@pytest.mark.parametrize(
    ("path", "value"), [("loss.nothing.x", 1.0), ("protocol.flods", 2), ("protocol.folds", 2.5)]
)
def test_with_values_refuses_what_the_schema_refuses(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"nothing|flods|folds"):
        with_values(tiny_config(), {path: value})


def test_values_are_put_in_without_a_change_to_what_was_given() -> None:
    config = compose(
        {"protocol": "quick", "dataset": "glyphs", "model": "small_cnn", "loss": "potential_field"}
    )
    given = {"loss.params": {"alpha": 2.0, "delta": 0.3}, "loss.params.alpha": 1.0}
    found = with_values(config, given)
    assert found.loss.params == {"alpha": 1.0, "delta": 0.3}
    assert given["loss.params"] == {"alpha": 2.0, "delta": 0.3}
