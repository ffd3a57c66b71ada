"""What the documentation says is what the code does and what committed results hold."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import gradient_cache, loss_step, proxy_start, proxy_start_pretrained
from benchmarks.core_radius import page as core_radius
from benchmarks.glyphs_study import page as glyphs_study
from benchmarks.photographs import headline
from benchmarks.photographs.cells import read_part
from benchmarks.photographs.page import PLANNED
from pml_potential import __all__ as public_names
from pml_potential.benchmark.files import read_json, write_json
from pml_potential.benchmark.report.comparison import compare_runs
from pml_potential.benchmark.report.markdown import result_table

ROOT = Path(__file__).parents[1]
QUICK_RUNS = [
    json.loads((ROOT / "docs" / "results" / f"quick-{loss}.json").read_text())
    for loss in ("potential_field", "contrastive", "proxy_anchor")
]


def test_readme_shows_what_the_study_on_photographs_found() -> None:
    parts = {part: read_part(part) for part in PLANNED}
    assert headline.table(parts).strip() in (ROOT / "README.md").read_text()
    assert " ".join(headline.sentences(parts)) in words_of("README.md")


def test_the_page_on_the_benchmark_shows_the_committed_runs() -> None:
    assert result_table(QUICK_RUNS) in (ROOT / "docs" / "benchmark.md").read_text()


def test_the_page_on_the_benchmark_says_what_their_comparison_finds(tmp_path: Path) -> None:
    for run in QUICK_RUNS:
        write_json(tmp_path / run["config"]["loss"]["name"] / "report" / "results.json", run)
    found = compare_runs(sorted(tmp_path.iterdir()))
    assert found.leaders == ["ProxyAnchorLoss", "ContrastiveLoss"]
    behind = [each for each in found.differences if each.second == "PotentialFieldLoss"]
    assert all(each.is_significant for each in behind)
    values = " and ".join(f"{each.corrected_p:.3f}" for each in behind)
    assert f"the other two by more than chance (corrected p {values})" in words_of("docs/benchmark.md")


def words_of(page: str) -> str:
    return " ".join((ROOT / page).read_text().split())


def test_the_page_on_audits_has_the_counts_of_its_results() -> None:
    lines = (ROOT / "docs" / "guides" / "data_audit.md").read_text().splitlines()
    found = read_json(ROOT / "docs" / "results" / "data_audit.json")["counts"]
    for each in found.values():
        (row,) = [line for line in lines if line.startswith("|") and f"{each['images']:,} " in line]
        _, _, equal, near, seconds, _ = row.split("|")
        classes = each["equal"]["classes"]
        assert equal.strip().startswith(f"{classes} " if classes else "none")
        assert near.strip().split(",")[0] == str(each["near_count"])
        assert seconds.strip() == f"{each['seconds']}"


def test_committed_runs_differ_in_nothing_but_the_loss() -> None:
    for part in ("protocol", "dataset", "model", "seed"):
        assert all(run["config"][part] == QUICK_RUNS[0]["config"][part] for run in QUICK_RUNS)
    assert len({run["data"]["sha256"] for run in QUICK_RUNS}) == 1


@pytest.mark.parametrize("run", QUICK_RUNS, ids=lambda run: run["config"]["loss"]["name"])
def test_a_committed_run_gains_a_quarter_over_the_untrained_model(run: dict[str, Any]) -> None:
    trained, untrained = (
        run["test"][state]["separated"]["mean_average_precision_at_r"]["mean"]
        for state in ("trained", "untrained")
    )
    assert trained - untrained > 0.25


def test_page_on_the_start_of_proxies_is_made_from_its_results() -> None:
    results = [
        json.loads(module.RESULTS.read_text()) for module in (proxy_start, proxy_start_pretrained)
    ]
    assert proxy_start.page(*results) == proxy_start.PAGE.read_text()


def test_page_on_the_core_is_made_from_its_results() -> None:
    assert core_radius.page(read_json(core_radius.RESULTS)) == core_radius.PAGE.read_text()


def test_page_on_the_papers_claims_is_made_from_its_results() -> None:
    assert glyphs_study.page(read_json(glyphs_study.RESULTS)) == glyphs_study.PAGE.read_text()


def test_page_on_speed_is_made_from_its_results() -> None:
    assert loss_step.page(read_json(loss_step.RESULTS)) == loss_step.PAGE.read_text()


def test_page_on_large_batches_is_made_from_its_results() -> None:
    assert gradient_cache.page(read_json(gradient_cache.RESULTS)) == gradient_cache.PAGE.read_text()


def test_memory_of_the_cache_is_flat_where_that_of_the_plain_step_grows() -> None:
    rows = read_json(gradient_cache.RESULTS)["rows"]
    mib = {(row["way"], row["batch_size"]): row["mib"] for row in rows}
    assert mib["plain", 2048] > 9 * mib["plain", 128]
    assert mib["cached", 2048] < mib["plain", 2048] / 4


MISSED = {"CUB-like, clustered, delta 0.2", "CUB-like, clustered, delta 0.65"}
"""Titles of the targets that the committed run misses, which its page says."""


def test_committed_measurements_miss_the_targets_that_are_named_here_and_no_others() -> None:
    rows = read_json(loss_step.RESULTS)["table"]
    missed = [goal for goal in loss_step.goals() if goal.measured(rows) > goal.most]
    assert {goal.title for goal in missed} == MISSED
    assert loss_step.PAGE.read_text().count(", missed**") == len(missed) == len(MISSED)


def test_readme_has_the_lines_that_set_up_a_fresh_machine() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert '    pip install -e ".[benchmark]" && pml-potential run quick' in lines
    assert '    pip install -e ".[dev]" && pytest' in lines


def test_readme_counts_the_losses_that_have_presets() -> None:
    """A loss may have several presets; words as the page has them."""
    files = (ROOT / "benchmarker_configs" / "losses").glob("*.yaml")
    names = {yaml.safe_load(path.read_text())["loss"]["name"] for path in files}
    ours = names & set(public_names)
    words = {13: "thirteen", 18: "Eighteen"}
    text = " ".join((ROOT / "README.md").read_text().split())
    counted = (
        f"{words[len(names)]} losses have presets with a search space, {words[len(names - ours)]} of"
    )
    assert counted in text


def test_citation_has_the_papers_of_the_readme() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert len(citation["references"]) == readme.count("[arXiv ")
    for paper in citation["references"]:
        assert paper["title"] in readme
        assert paper["identifiers"][0]["value"].replace(":", " ") in readme
        assert all(author["family-names"] in readme for author in paper["authors"])
        assert f"{paper['conference']['name']} {paper['year']}" in readme
