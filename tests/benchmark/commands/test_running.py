"""The commands that train, from words to the folder of a run."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.files import read_json
from pml_potential.benchmark.report.formatting import interval
from pml_potential.benchmark.training.profiling import STAGES
from tests.benchmark.commands.run_settings import ONE_TRIAL, SETTINGS, SMALL_RECIPE
from tests.benchmark.data.datasets.miniatures import write_class_folders


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "mine"


@pytest.fixture(scope="module")
def first(folder: Path) -> Result:
    return command("run", "quick", *SETTINGS, *ONE_TRIAL, "--folder", folder)


def assert_shows_the_scores(result: Result, folder: Path) -> None:
    assert result.exit_code == 0, result.output
    results = read_json(folder / "report" / "results.json")
    for kinds in results["test"].values():
        assert all(interval(metrics[PRIMARY_METRIC]) in result.stdout for metrics in kinds.values())
    assert re.search(
        r"^(?:\d+ min )?\d+ s in this session\. Report: "
        + re.escape(str(folder / "report" / "index.html")),
        result.stdout,
        re.MULTILINE,
    )


def test_run_searches_reproduces_and_reports(first: Result, folder: Path) -> None:
    assert_shows_the_scores(first, folder)
    assert first.stderr == ""
    ended = re.findall(r"^(trial|reproduction) \d/\d: 0.\d+ (\w+) MAP@R", first.stdout, re.MULTILINE)
    assert ended == [("trial", "validation")] + [("reproduction", "test")] * 2


def test_a_recipe_is_run_by_its_name_in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("run", "recipes/mfcwms-cub200-resnet50", *SMALL_RECIPE)
    folder = Path("runs") / "mfcwms-cub200-resnet50"
    assert_shows_the_scores(result, folder)
    config = read_json(folder / "report" / "results.json")["config"]
    assert config["loss"]["name"] == "MeanFieldClassWiseMultiSimilarityLoss"
    assert (config["sampler"]["m"], config["training"]["clipped"]) == (None, "network")


def test_a_recipe_that_does_not_exist_is_refused() -> None:
    result = command("run", "recipes/pfml-cub-resnet50")
    assert result.exit_code == 2
    assert "no recipe 'pfml-cub-resnet50', did you mean 'pfml-cub200-resnet50'" in result.stderr


def test_own_images_are_given_as_people_type_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_class_folders(tmp_path / "imgs #2", classes=8, images=4, side=32)
    result = command("train", "--dataset", "folder", "--root", "imgs #2", *SETTINGS)
    assert_shows_the_scores(result, Path("runs/quick-imgs #2-small_cnn-potential_field-train"))


@pytest.mark.parametrize("name", ["run", "train", "profile"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--dataset", "folder"],
            "the folder .*data/folder of your images does not exist; .* --root",
        ),
        (["--dataset", "table"], "dataset.file is missing; .*: --file TABLE"),
        (["--dataset", "folder", "--root", "gone"], "the folder .*gone of .* does not exist"),
        (["--root", "imgs"], "dataset.root is 'imgs', but 'glyphs' takes none: .* write name: folder"),
    ],
)
def test_what_lacks_to_own_images_is_said(
    name: str, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command(name, *words)
    assert result.exit_code == 2
    assert re.match(f"error: {message}", result.stderr)


@pytest.mark.parametrize("name", ["run", "worker"])
@pytest.mark.usefixtures("first")
def test_a_run_that_has_ended_is_not_trained_again(name: str, folder: Path) -> None:
    files = sorted(folder.rglob("fold_*/result.json"))
    before = [path.stat().st_mtime_ns for path in files]
    words = ["quick", *SETTINGS, *ONE_TRIAL, "--folder"] if name == "run" else []
    result = command(name, *words, folder)
    assert_shows_the_scores(result, folder)
    assert len(files) == 6
    assert [path.stat().st_mtime_ns for path in files] == before


@pytest.mark.usefixtures("first")
def test_a_folder_of_another_run_is_refused(folder: Path) -> None:
    result = command("run", "quick", *SETTINGS, *ONE_TRIAL, "--set", "seed=1", "--folder", folder)
    assert result.exit_code == 2
    assert "holds a run with another configuration" in result.stderr
    assert "seed: 0 and 1" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trial", "1"], "number 1 of the search of .* is not being worked on"),
        (["--reproduction", "2"], "number 2 of the reproductions of .* is not being worked on"),
    ],
)
@pytest.mark.usefixtures("first")
def test_what_nobody_works_on_is_not_handed_on(words: list[str], message: str, folder: Path) -> None:
    result = command("release", folder, *words)
    assert result.exit_code == 2
    assert re.match(f"error: {message}", result.stderr)
    assert result.stdout == ""


@pytest.mark.parametrize("words", [["worker"], ["release", "--trial", "1"]], ids=lambda words: words[0])
def test_a_folder_without_a_run_is_refused(words: list[str], tmp_path: Path) -> None:
    result = command(*words, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "config.yaml does not exist; pml-potential run starts a run" in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_train_searches_nothing_and_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # One fold, which no search may select on.
    result = command("train", *SETTINGS, "--set", "protocol.folds=1", "--loss", "contrastive")
    folder = Path("runs") / "quick-glyphs-small_cnn-contrastive-train"
    assert_shows_the_scores(result, folder)
    assert "trial" not in result.stdout
    results = read_json(folder / "report" / "results.json")
    assert results["trials"] == []
    assert results["best"] == {
        "trial": None,
        "params": {},
        "config": results["config"],
        "validation_map_at_r": None,
    }
    assert len(results["reproductions"]) == 2
    assert "<h2>Search</h2>" not in (folder / "report" / "index.html").read_text(encoding="utf-8")
    # Without the hidden lock of the features.
    assert sorted(path.name for path in Path("runs").glob("[!.]*")) == ["features", folder.name]


def test_profile_says_where_the_time_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("profile", *SETTINGS)
    assert result.exit_code == 0, result.output
    shares = []
    for stage, what in STAGES.items():
        (line,) = [line for line in result.stdout.splitlines() if line.split()[:1] == [stage]]
        assert line.rstrip().endswith(what)
        shares.append(int(line.split()[2].removesuffix("%")))
    # Each of them is rounded.
    assert sum(shares) == pytest.approx(100, abs=len(STAGES) / 2)
    limit = re.search(r"\d+ images per second in training; most time goes into (\w+)\.", result.stdout)
    assert limit is not None
    assert shares[list(STAGES).index(limit[1])] == max(shares)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("run", ["quikc"], "no protocol 'quikc', did you mean 'quick'"),
        ("run", ["quick", "--protocol", "mlrc"], "'quick' and as --protocol 'mlrc'"),
        ("run", ["--set", "protocol.folds=60"], "need at least 240"),
        ("train", ["--loss", "potential_feild"], "did you mean 'potential_field'"),
        ("profile", ["--set", "protocol.flods=3"], "did you mean 'folds'"),
        ("profile", ["--model", "missing.yaml"], "missing.yaml cannot be read"),
    ],
)
def test_what_cannot_run_is_refused(
    name: str, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command(name, *words)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stdout == ""


def test_an_interruption_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pml_potential.benchmark.experiments.experiment.run_experiment", interrupt)
    result = command("run", "--folder", tmp_path / "mine")
    assert result.exit_code == 130
    assert f"Stopped. The same command resumes {tmp_path / 'mine'}." in result.stdout


def test_release_of_nothing_is_refused(folder: Path) -> None:
    result = command("release", folder)
    assert result.exit_code == 2
    assert "nothing to requeue; give" in result.stderr
