"""A run is bound to its images, their division and the weights that it began with."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.data.folds import divide, frozen_trunk
from pml_potential.benchmark.data.identity import (
    Identity,
    bind,
    check_bound,
    check_weights,
    hash_of_weights,
    identity_of,
)
from pml_potential.benchmark.experiments.experiment import join_experiment, run_experiment
from pml_potential.benchmark.experiments.sharing import Sharing
from pml_potential.benchmark.files import read_json, write_json
from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.report.run_analysis import analyze_run
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_picture
from tests.benchmark.data.own_folder import folder_config
from tests.benchmark.tiny import tiny_config

Change = Callable[[Path], None]


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``imgs``, and ``run`` on them."""
    base = tmp_path_factory.mktemp("finished")
    write_class_folders(base / "imgs", classes=16, images=2)
    run_experiment(folder_config(base / "imgs"), base / "run", quiet())
    return base


def add(imgs: Path) -> None:
    write_picture(imgs / "kind_3" / "9.png", 3, 9)


def delete(imgs: Path) -> None:
    (imgs / "kind_3" / "1.png").unlink()


def repaint(imgs: Path) -> None:
    """Other pixels in a file of the same name, size and time."""
    path = imgs / "kind_3" / "1.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("change", [add, delete, repaint])
@pytest.mark.parametrize(
    "again",
    [
        lambda imgs, run: run_experiment(folder_config(imgs), run, quiet()),
        lambda _imgs, run: join_experiment(run, quiet(), Sharing()),
        lambda _imgs, run: analyze_run(run),
    ],
    ids=["run", "worker", "analyze"],
)
def test_a_run_refuses_images_that_have_changed(
    finished: Path, change: Change, again: Callable[[Path, Path], object]
) -> None:
    imgs, run = finished / "imgs", finished / "run"
    before = {path: path.read_bytes() for path in imgs.rglob("*.png")}
    results = (run / "report" / "results.json").read_bytes()
    change(imgs)
    try:
        with pytest.raises(ConfigError, match=r"was started with different data") as caught:
            again(imgs, run)
        found = load_folder(imgs).sha256
    finally:
        for path in imgs.rglob("*.png"):
            path.unlink()
        for path, content in before.items():
            path.write_bytes(content)
    message = str(caught.value)
    assert read_json(run / "identity.json")["data"] in message
    assert found in message
    assert ("images 32 and" in message) is (change is not repaint)
    assert len(message.splitlines()) == 1
    assert (run / "report" / "results.json").read_bytes() == results


def test_a_run_goes_on_where_its_images_were_moved(finished: Path, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "elsewhere", classes=16, images=2)
    results = run_experiment(folder_config(tmp_path / "elsewhere"), finished / "run", quiet())
    assert results["data"]["sha256"] == read_json(finished / "run" / "identity.json")["data"]


def test_a_run_whose_identity_is_deleted_is_bound_anew(finished: Path) -> None:
    path = finished / "run" / "identity.json"
    before = path.read_bytes()
    path.unlink()
    run_experiment(folder_config(finished / "imgs"), finished / "run", quiet())
    assert path.read_bytes() == before


def test_an_identity_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for damaged in ("{", "[1]", '{"data": "x"}'):
        run.identity.write_text(damaged)
        with pytest.raises(ConfigError, match=r"identity\.json is damaged"):
            check_bound(run, Identity("a", 1, 1, "b", None))


def test_a_division_of_its_own_belongs_to_a_run(tmp_path: Path) -> None:
    images = load_folder(write_class_folders(tmp_path / "imgs", classes=16, images=2))
    few, many = (
        identity_of(config, divide(config, images, tmp_path))
        for config in (tiny_config("protocol.folds=2"), tiny_config("protocol.folds=4"))
    )
    assert few.data == many.data
    assert few.division != many.division


def test_other_weights_are_refused(tmp_path: Path) -> None:
    images = load_folder(write_class_folders(tmp_path / "imgs", classes=16, images=2))
    weights, run = tmp_path / "weights.pth", RunFolder(tmp_path / "run")
    config = folder_config(tmp_path / "imgs", f"model.weights={weights}", "model.freeze_trunk=true")
    data = divide(config, images, tmp_path)

    def save(seed: int) -> None:
        torch.manual_seed(seed)
        torch.save(build_models(config.model, 3, pretrained=False)["trunk"].state_dict(), weights)

    save(0)
    bind(run, identity_of(config, data))
    check_bound(run, identity_of(config, data))
    check_weights(run, frozen_trunk(config, images))
    first = hash_of_weights(config, images)
    save(1)
    second = hash_of_weights(config, images)
    for refused in (
        lambda: check_bound(run, identity_of(config, data)),
        lambda: check_weights(run, frozen_trunk(config, images)),
    ):
        with pytest.raises(ConfigError, match=f"{first} and {second}"):
            refused()


def test_a_run_of_an_earlier_version_has_no_identity_and_is_bound_now(tmp_path: Path) -> None:
    run, identity = RunFolder(tmp_path / "run"), Identity("a", 4, 2, "b", None)
    check_bound(run, identity)
    bind(run, identity)
    bind(run, replace(identity, data="c"))
    assert read_json(run.identity)["data"] == "a"
    write_json(run.identity, read_json(run.identity) | {"data": "c"})
    with pytest.raises(ConfigError, match="data c and a"):
        check_bound(run, identity)
