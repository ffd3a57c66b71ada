"""What the card of a model says is in the results of its run, and hubs can read it."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from PIL import Image

from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.formatting import interval, metric_names
from pml_potential.benchmark.report.markdown import result_table
from pml_potential.benchmark.report.model_card import check_place_for_card, write_model_card
from pml_potential.benchmark.report.results import best_config
from pml_potential.benchmark.training.exporting import export_from_run
from tests.benchmark.conftest import Experiment


@pytest.fixture
def results(experiment: Experiment) -> dict[str, Any]:
    return copy.deepcopy(experiment.results)


@pytest.fixture
def config(experiment: Experiment) -> Config:
    return best_config(experiment.folder, experiment.results)


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    values = config.model_dump()
    for name, section in sections.items():
        values[name] |= section
    return Config.model_validate(values)


def card_of(folder: Path, config: Config, results: dict[str, Any], fold: int = 1) -> str:
    return write_model_card(folder, config, results, 1, fold).read_text(encoding="utf-8")


def test_hubs_read_the_scores_with_their_intervals(
    tmp_path: Path, config: Config, results: dict[str, Any]
) -> None:
    read: Any = ModelCard(card_of(tmp_path, config, results)).data
    assert read.library_name == "pml-potential"
    assert read.license == "unknown"
    assert read.datasets == ["glyphs"]
    assert "PotentialFieldLoss" in read.tags
    assert read.metrics == list(metric_names(results))
    assert read.model_name == "PotentialFieldLoss on glyphs"
    scores = results["test"]["trained"]["separated"]
    found = {each.metric_type: each for each in read.eval_results}
    assert {name: each.metric_value for name, each in found.items()} == {
        name: scores[name]["mean"] for name in metric_names(results)
    }
    for name, each in found.items():
        assert each.dataset_name == "glyphs"
        assert each.dataset_split == "test"
        assert each.metric_name.endswith(f"95% interval of 2 reproductions: {interval(scores[name])}")


def test_the_text_has_the_table_and_the_scores_of_this_model(
    tmp_path: Path, config: Config, results: dict[str, Any]
) -> None:
    text = card_of(tmp_path, config, results)
    assert result_table([results]) in text
    repetition = results["reproductions"][1]
    own = repetition["trained"]["separated"][PRIMARY_METRIC]
    assert f"The models of this reproduction have a test MAP@R of {own:.4f} on average." in text
    assert "test classes that neither training nor search saw: mean" in text
    fold = repetition["folds"][1]
    assert f"it has a MAP@R of {fold['score']:.4f}, in epoch {fold['best_epoch']}." in text
    assert "It is model 2 of 2 of reproduction 2 of a run" in text
    for name, value in results["best"]["params"].items():
        assert f"| {name} | {value:.4g} |" in text
    parts = results["data"]["classes_by_part"]
    train, validation = (parts[f"fold 2: {part}"] for part in ("train", "validation"))
    assert (
        f"| classes | {train} for training, {validation} for validation, {parts['test']} for the test |"
        in text
    )
    assert results["data"]["sha256"] in text
    assert "| pretrained weights | none |" in text
    assert "onnx" not in text
    assert "labels were wrong" not in text
    assert not re.search(r"\{[{%]|\n\n\n", text)


def test_what_makes_scores_flatter_or_worse_is_among_the_limits(
    tmp_path: Path, config: Config, results: dict[str, Any]
) -> None:
    results["config"]["protocol"]["folds"] = 1
    results["reproductions"][1]["folds"] = results["reproductions"][1]["folds"][:1]
    not_searched = config.model_copy(update={"search": {}})
    noisy = changed(not_searched, protocol={"folds": 1, "study": None}, dataset={"label_noise": 0.2})
    text = card_of(tmp_path, noisy, results, fold=0)
    assert "**The test set chose the epoch**" in text
    assert "**20% of the training labels were wrong**" in text
    assert "It is the model of reproduction 2 of a run" in text
    assert "This model has a test MAP@R of" in text
    assert "test classes that training did not see: mean" in text
    assert "validation" not in text
    assert "Concatenated" not in text


def test_a_run_whose_reproductions_failed_claims_no_score(
    tmp_path: Path, config: Config, results: dict[str, Any]
) -> None:
    results["test"] = {}
    results["reproductions"][1] = {"folds": results["reproductions"][1]["folds"][:1], "failure": "x"}
    text = card_of(tmp_path, config, results)
    assert "No reproduction of the run succeeded." in text
    read: Any = ModelCard(text).data
    assert read.eval_results is None
    assert "MAP@R of" not in text


@pytest.mark.parametrize(
    ("crop", "words"),
    [
        (
            {"fit": "crop"},
            "the shorter side resized to 40 pixels, and 32 x 32 pixels of the middle kept",
        ),
        ({"fit": "squash"}, "squashed to 32 x 32 pixels"),
        ({"fit": "pad"}, "fitted into 32 x 32 pixels, between borders of one colour"),
    ],
)
def test_it_says_how_pictures_are_seen(
    crop: dict[str, str], words: str, tmp_path: Path, config: Config, results: dict[str, Any]
) -> None:
    size = {"resize": 40, "size": 32}
    model = {"input": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}, "weights": "my.pt"}
    cut = changed(config, protocol={"crop": size | crop}, model=model)
    results["weights_sha256"] = "abc"
    text = card_of(tmp_path, cut, results)
    assert f"Pictures are read as in the run: {words}." in text
    assert "| pretrained weights | my.pt, SHA-256 of the trunk abc |" in text
    assert "pretrained weights, whose licence also applies." in text


@pytest.mark.parametrize(
    ("name", "licence"), [("glyphs", "as this package"), ("folder", None), ("cub200", "non-commercial")]
)
def test_the_licence_of_the_data_is_told_where_it_is_known(
    name: str, licence: str | None, tmp_path: Path, config: Config, results: dict[str, Any]
) -> None:
    text = card_of(tmp_path, changed(config, dataset={"name": name}), results)
    assert (f"The data: {licence}" in text) if licence else ("The data:" not in text)


def test_odd_names_neither_break_the_front_matter_nor_the_text(
    tmp_path: Path, config: Config, results: dict[str, Any]
) -> None:
    name = "a: [b] *c* {{ d }} # \udce9"
    results["data"]["name"] = name
    text = card_of(tmp_path, config, results)
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["datasets"] == [name]
    assert r"# PotentialFieldLoss on a: [b] \*c\* {{ d }} # \\udce9" in body


def test_the_code_of_the_card_runs_in_its_folder(
    tmp_path: Path,
    experiment: Experiment,
    config: Config,
    results: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    export_from_run(RunFolder(experiment.folder), config, 1, 1, tmp_path)
    text = card_of(tmp_path, config, results)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32), dtype=np.uint8)
    for letter, each in zip("ab", pixels, strict=True):
        Image.fromarray(each).save(tmp_path / f"{letter}.jpg")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert capsys.readouterr().out.startswith("tensor([[1.0")


def test_only_a_card_is_overwritten(tmp_path: Path, config: Config, results: dict[str, Any]) -> None:
    check_place_for_card(tmp_path / "new")
    card_of(tmp_path, config, results)
    check_place_for_card(tmp_path)
    (tmp_path / "README.md").write_text("# My project\n\nlibrary_name: pml-potential\n")
    with pytest.raises(ConfigError, match=r"README\.md is not a model card of pml-potential, and"):
        check_place_for_card(tmp_path)
