"""What the guides have a reader type can be typed, and what they quote is what stands there."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.files import read_json

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PUBLISHED = ROOT / "pml_potential" / "benchmark" / "report" / "published"


def rows_of(page: Path) -> list[list[str]]:
    lines = re.findall(r"^\| (.+) \|$", page.read_text(), re.MULTILINE)
    return [line.split(" | ") for line in lines]


def test_the_published_figures_are_those_of_the_package() -> None:
    known: dict[tuple[str, ...], list[str]]
    with (PUBLISHED / "mlrc_best_validation_map_at_r.csv").open() as file:
        known = {
            (row["loss"],): [row["cub200"], row["cars196"], row["sop"]] for row in csv.DictReader(file)
        }
    with (PUBLISHED / "pfml_table1_recall.csv").open() as file:
        known |= {
            (row["method"], row["backbone"]): [row["cub_r1"], row["cars_r1"], row["sop_r1"]]
            for row in csv.DictReader(file)
        }
    shown = {
        tuple(row[:-3]): row[-3:]
        for row in rows_of(DOCS / "guides" / "reproducing_the_papers.md")
        if row[0] not in {"loss", "method"}
    }
    assert len(shown) == 11
    assert shown == {key: known[key] for key in shown}


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
    assert "\n".join(table) in (DOCS / "index.md").read_text()


def test_the_folds_on_the_start_page_are_those_of_the_committed_run() -> None:
    results = read_json(DOCS / "results" / "quick-potential_field.json")
    pieces = {"trial": results["trials"], "reproduction": results["reproductions"]}
    pattern = r"^(\w+) (\d+)/\d+, fold (\d)/4: MAP@R (\S+) in epoch (\d+) "
    shown = re.findall(pattern, (DOCS / "index.md").read_text(), re.MULTILINE)
    assert len(shown) == 3
    for kind, piece, number, score, epoch in shown:
        fold = pieces[kind][int(piece) - 1]["folds"][int(number) - 1]
        assert (f"{fold['score']:.4f}", str(fold["best_epoch"])) == (score, epoch)


def test_a_loss_and_a_network_of_ones_own_are_judged(tmp_path: Path) -> None:
    script = ROOT / "examples" / "own_parts.py"
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "runs" / "own_parts" / "report" / "index.html").is_file()
