"""Studies from words to table, data and figure."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.published_grids import GRIDS
from pml_potential.benchmark.experiments.studies.study import JUDGED_ON
from pml_potential.benchmark.files import read_json
from tests.benchmark.commands.run_settings import ONE_FOLD, SETTINGS, SMALL_RECIPE


def study(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["study", *map(str, words)], env={"COLUMNS": "160"})


def assert_shows_the_study(result: Result, folder: Path, values: list[float]) -> None:
    assert result.exit_code == 0, result.output
    found = read_json(folder / "study.json")
    for points in found["series"].values():
        assert [point["value"] for point in points] == values
    header = " | ".join(["", found["path"], *(f"{value:g}" for value in values), ""]).strip()
    assert result.stdout.count(header) == len(JUDGED_ON)
    assert all(f"MAP@R, {title}: mean and 95% interval" in result.stdout for title in JUDGED_ON.values())
    assert result.stdout.endswith(f"Study: {folder / 'study.png'}\n")
    assert (folder / "study.png").read_bytes().startswith(b"\x89PNG")


def test_an_ablation_varies_one_value_in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*SETTINGS, *ONE_FOLD, "--loss", "contrastive"]
    result = study("ablation", "sampler.m", "--values", "2, 4", *words)
    folder = Path("runs") / "ablation-sampler.m-quick-glyphs-small_cnn-contrastive"
    assert_shows_the_study(result, folder, [2, 4])


def test_noise_has_a_line_for_each_loss(tmp_path: Path) -> None:
    losses = ["--loss", "contrastive", "--loss", "cpml"]
    folder = tmp_path / "noise"
    result = study("noise", *losses, "--levels", "0", "--folder", folder, *SETTINGS, *ONE_FOLD)
    assert_shows_the_study(result, folder, [0])
    assert read_json(folder / "study.json")["series"].keys() == {"contrastive", "cpml"}


def test_a_recipe_is_studied_along_any_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--protocol", "recipes/pfml-cub200-resnet50", *SMALL_RECIPE]
    result = study("ablation", "loss.params.proxies_per_class", "--values", "1, 2", *words)
    folder = Path("runs") / "ablation-loss.params.proxies_per_class-pfml-cub200-resnet50"
    assert_shows_the_study(result, folder, [1, 2])
    result = study("noise", "--levels", "0", *words)
    folder = Path("runs") / "noise-pfml-cub200-resnet50"
    assert_shows_the_study(result, folder, [0])
    assert read_json(folder / "study.json")["series"].keys() == {"pfml-cub200-resnet50"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ablation", "sampler.m"], "--values is missing: there is no published grid for 'sampler.m'"),
        (
            ["ablation", "sampler.m", "--values", "[1"],
            "'[1', a list of values such as '1, 2, 5', is no YAML",
        ),
        (["ablation", "sampler.m", "--values", ""], "the values of sampler.m are none"),
        (["ablation", "sampler.m", "--values", "2, 2"], "the values of sampler.m are 2, 2"),
        (["ablation", "sampler.n", "--values", "2"], "sampler.n"),
        (["ablation", "loss.params.alpha", "--values", "9"], "alpha is 9; it must lie in [0, 8]"),
        (["ablation", "sampler.m", "--values", "2", "--loss", "cpm"], "no loss 'cpm', did you mean"),
        (["noise", "--levels", "2"], "dataset.label_noise: Input should be less than or equal to 1"),
        (["noise", "--levels", "half"], "levels must be numbers, got 'half'"),
        (["noise", "--loss", "cpm"], "no loss 'cpm', did you mean"),
        (
            ["noise", "--protocol", "recipes/mfc-cub200-resnet50", "--loss", "cpml"],
            "--loss cpml cannot be given with recipes/mfc-cub200-resnet50",
        ),
    ],
)
def test_what_cannot_be_studied_is_said(words: list[str], message: str, tmp_path: Path) -> None:
    result = study(*words, "--folder", tmp_path / "study", *SETTINGS)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "study").exists()


def test_help_names_the_published_grids() -> None:
    text = " ".join(study("ablation", "--help").stdout.replace("│", " ").split())
    assert all(path.removeprefix("loss.params.") in text for path in GRIDS)
