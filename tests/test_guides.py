"""What the guides have a reader type can be typed, and what they quote is what stands there."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.recipes import recipe_names
from pml_potential.benchmark.experiments.progress import RunProgress
from pml_potential.benchmark.files import read_json
from pml_potential.benchmark.report.published_figures import backbone_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PUBLISHED = ROOT / "pml_potential" / "benchmark" / "report" / "published"


DATASETS = {"cub200": "cub_r1", "cars196": "cars_r1", "sop": "sop_r1"}
REPRODUCING = DOCS / "guides" / "reproducing_the_papers.md"


def rows_of(page: Path) -> list[list[str]]:
    lines = re.findall(r"^\| (.+) \|$", page.read_text(), re.MULTILINE)
    return [line.split(" | ") for line in lines]


def figures(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def published_figure(name: str, dataset: str) -> str | None:
    """What the paper prints for a recipe; None: it has no recipe, or the figure is not at hand."""
    if name not in recipe_names():
        return None
    config = compose({"recipe": name})
    if name.startswith("mlrc"):
        loss, miner = config.loss.name, config.loss.miner
        table = figures(PUBLISHED / "mlrc_best_validation_map_at_r.csv")
        method = loss if miner is None else f"{loss}+{miner.name}"
        return next(row[dataset] for row in table if row["loss"] == method)
    method = name.partition("-")[0].upper()
    if config.dataset.label_noise:
        table = figures(ROOT / "tests" / "data" / "pfml_table2_label_noise20_resnet50.csv")
        return next(row[DATASETS[dataset]] for row in table if row["method"] == method)
    backbone = backbone_of(config.model.trunk)
    table = figures(PUBLISHED / "pfml_table1_recall.csv")
    keys = (method, backbone)
    return next(row[DATASETS[dataset]] for row in table if (row["method"], row["backbone"]) == keys)


def test_the_published_figures_are_those_of_the_papers() -> None:
    rows = [row for row in rows_of(REPRODUCING) if "DATASET" in row[0]]
    assert len(rows) == 16
    for recipe, *shown in rows:
        name = recipe.split("`")[1]
        expected = [published_figure(name.replace("DATASET", each), each) or "–" for each in DATASETS]
        assert shown == expected, name


def test_each_recipe_whose_figure_is_at_hand_stands_in_a_table() -> None:
    shown = {row[0].split("`")[1] for row in rows_of(REPRODUCING) if "DATASET" in row[0]}
    with_figures = {
        re.sub("-(cub200|cars196|sop)", "-DATASET", name)
        for name in recipe_names()
        if name.startswith(("pfml", "cpml", "mlrc-"))
        and not name.endswith(("-margin", "-fast_ap", "-snr_contrastive"))
    }
    assert shown == with_figures


@pytest.mark.parametrize(
    "page",
    [
        "how_it_works/fields.md",
        "how_it_works/which_loss.md",
        "guides/label_noise.md",
        "guides/large_numbers_of_classes.md",
    ],
)
def test_a_measured_number_stands_on_a_page_that_is_linked(page: str) -> None:
    text = (DOCS / page).read_text()
    sources = [(DOCS / page).parent / target for target in re.findall(r"\]\(([^)#:]+\.md)", text)]
    quoted = "".join(source.read_text() for source in sources)
    if "README.md:result" in quoted:
        quoted += (ROOT / "README.md").read_text()
    own = re.sub(r"\[[^]]*\]\([^)]*\)", "", text)
    numbers = re.findall(r"\d+\.\d{3,}|\d{1,3}(?:,\d{3})+|\d+(?= to \d+ MiB| MiB)", own)
    assert len(numbers) > 1
    assert [number for number in numbers if number not in quoted] == []


def test_the_start_page_shows_what_the_report_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = (DOCS / "results" / "quick-potential_field.json").read_text()
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "results.json").write_text(results)
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 0, done.output
    table = [line.rstrip() for line in done.output.splitlines() if not line.startswith("Report:")]
    assert len(table) > 6
    assert indent("\n".join(table), "    ") in (DOCS / "index.md").read_text()


def test_the_trials_on_the_start_page_are_those_of_the_committed_run() -> None:
    trials = read_json(DOCS / "results" / "quick-potential_field.json")["trials"]
    console = Console(file=io.StringIO(), width=100)
    with RunProgress(console, total_folds=40) as progress:
        for number, trial in enumerate(trials[:3], start=1):
            progress.start_piece(f"trial {number}/8")
            # Two folds are trained at a time.
            seconds = [fold["seconds"] for fold in trial["folds"]]
            progress._piece_start -= max(seconds[:2]) + max(seconds[2:])
            progress.finish_trial(number, trial["validation_map_at_r"])
    assert isinstance(console.file, io.StringIO)
    assert indent(console.file.getvalue(), "    ") in (DOCS / "index.md").read_text()


def test_tests_that_hold_what_a_page_claims_are_there() -> None:
    named = re.findall(r"`(tests/[^`]+)`", (DOCS / "guides" / "which_library.md").read_text())
    assert len(named) > 9
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_a_loss_and_a_network_of_ones_own_are_judged(tmp_path: Path) -> None:
    script = ROOT / "examples" / "own_parts.py"
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    page = tmp_path / "runs" / "own_parts" / "report" / "index.html"
    assert "<th>hit@2</th><th>NMI</th>" in page.read_text()
