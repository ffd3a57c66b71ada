"""The page: it opens offline, shows every number, and shows names as text."""

import copy
import re
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.data.datasets.audit import KINDS
from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC
from pml_potential.benchmark.files import read_json
from pml_potential.benchmark.report.formatting import METRIC_NAMES, interval, number
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.methods import methods_paragraph
from pml_potential.benchmark.report.published_figures import published_figures
from pml_potential.benchmark.report.results import read_results
from pml_potential.benchmark.report.run_report import write_report
from pml_potential.benchmark.report.verdict import (
    best_hyperparameters,
    verdict,
    what_would_help,
    why_validation_differs,
)
from tests.benchmark.conftest import Experiment
from tests.benchmark.report.page_reader import Page, traces_of

EVIL = "<script>alert('x')</script><b>&amp;"


@pytest.fixture(scope="module")
def page(experiment: Experiment) -> Page:
    return Page((experiment.folder / "report" / "index.html").read_text(encoding="utf-8"))


def page_of(results: dict[str, Any], folder: Path) -> Page:
    return Page(write_report(results, folder).read_text(encoding="utf-8"))


def test_the_page_loads_nothing(page: Page) -> None:
    assert {address.partition(",")[0] for address in page.loads} == {"data:image/jpeg;base64"}
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not [style for style in page.styles if "url(" in style or "@import" in style]


def test_the_page_brings_plotly_and_draws_every_figure(experiment: Experiment) -> None:
    html = (experiment.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert html.count("Plotly.newPlot(") - html.split("<body>")[0].count("Plotly.newPlot(") == 8
    assert len(html.split("<body>")[0]) > 1_000_000


def test_the_table_has_every_number(experiment: Experiment, page: Page) -> None:
    for state, kinds in experiment.results["test"].items():
        for kind, metrics in kinds.items():
            row = " ".join([state, kind, *(interval(metrics[metric]) for metric in METRICS)])
            assert row in page.text
    assert "model embeddings " + " ".join(METRIC_NAMES.values()) in page.text


def test_every_trial_has_its_row(experiment: Experiment, page: Page) -> None:
    for trial in experiment.results["trials"]:
        values = [number(trial["params"][path]) for path in experiment.config.search]
        folds = ", ".join(f"{fold['score']:.3f}" for fold in trial["folds"])
        score = f"{trial['validation_map_at_r']:.4f}"
        assert " ".join([str(trial["number"] + 1), *values, score, folds]) in page.text


def test_the_best_trial_is_marked(experiment: Experiment) -> None:
    html = (experiment.folder / "report" / "index.html").read_text(encoding="utf-8")
    marked = re.findall(r'<tr class="chosen"><td data-sort="\d+">(\d+)</td>', html)
    assert marked == [str(experiment.results["best"]["trial"] + 1)]


def test_the_page_tells_how_the_run_was_made(experiment: Experiment, page: Page) -> None:
    data, environment = experiment.results["data"], experiment.results["environment"]
    facts = [data["sha256"], environment["platform"], "Seed 5", "startup_trials: 2", "SeedSequence"]
    facts += [f"{package} {version}" for package, version in environment["packages"].items()]
    facts += [f"{environment['processor']}, {environment['threads']} thread"]
    assert [fact for fact in facts if fact not in page.text] == []


def test_the_page_names_the_gpus_where_there_are_some(experiment: Experiment, tmp_path: Path) -> None:
    results = copy.deepcopy(experiment.results)
    results["environment"]["gpus"] = ["NVIDIA H100", "NVIDIA H100"]
    assert "NVIDIA H100, NVIDIA H100" in write_report(results, tmp_path).read_text(encoding="utf-8")


def test_results_without_these_names_are_shown(experiment: Experiment, tmp_path: Path) -> None:
    results = copy.deepcopy(experiment.results)
    for key in ("threads", "gpus"):
        del results["environment"][key]
    assert results["environment"]["platform"] in write_report(results, tmp_path).read_text("utf-8")


def test_learning_curves_hold_the_history_of_every_fold(experiment: Experiment) -> None:
    html = (experiment.folder / "report" / "index.html").read_text(encoding="utf-8")
    *lines, average = traces_of(html, "learning-curves-reproductions")
    folds = [fold for each in experiment.results["reproductions"] for fold in each["folds"]]
    assert [line["y"] for line in lines] == [
        [entry[PRIMARY_METRIC] for entry in fold["history"]] for fold in folds
    ]
    assert [line["name"] for line in lines if line["showlegend"]] == ["reproduction 1", "reproduction 2"]
    assert average["y"] == [pytest.approx(mean(fold["history"][0][PRIMARY_METRIC] for fold in folds))]
    best = experiment.results["trials"][experiment.results["best"]["trial"]]
    shown = [line["y"][0] for line in traces_of(html, "learning-curves-best-trial")[:-1]]
    assert shown == [fold["history"][0][PRIMARY_METRIC] for fold in best["folds"]]


def evil_results(results: dict[str, Any]) -> dict[str, Any]:
    evil = copy.deepcopy(results)
    evil["data"]["name"] = evil["config"]["loss"]["name"] = evil["config"]["protocol"]["name"] = EVIL
    evil["environment"]["platform"] = evil["environment"]["commit"] = EVIL
    path = next(iter(evil["config"]["search"]))
    evil["config"]["search"][EVIL] = evil["config"]["search"].pop(path)
    evil["importance"][EVIL] = evil["importance"].pop(path)
    for trial in evil["trials"]:
        trial["params"][EVIL] = trial["params"].pop(path)
    evil["trials"][(evil["best"]["trial"] + 1) % 4] |= {
        "failure": EVIL,
        "validation_map_at_r": None,
    }
    return evil


def test_names_are_shown_as_text(experiment: Experiment, tmp_path: Path) -> None:
    plain = page_of(experiment.results, tmp_path)
    evil = page_of(evil_results(experiment.results), tmp_path)
    assert evil.tags.count("script") == plain.tags.count("script")
    assert evil.tags.count("b") == plain.tags.count("b") == 0
    assert evil.text.count(EVIL) >= 8
    assert f"failed in {EVIL}" in evil.text


def test_a_failed_trial_is_shown_with_its_reason(experiment: Experiment, tmp_path: Path) -> None:
    results = copy.deepcopy(experiment.results)
    failed = (results["best"]["trial"] + 1) % 4
    reason = "fold 1: the loss is nan in epoch 1, iteration 2"
    results["trials"][failed] |= {"failure": reason, "validation_map_at_r": None, "folds": []}
    assert f"failed in {reason}" in page_of(results, tmp_path).text


@pytest.mark.parametrize("all_failed", [False, True])
def test_a_failed_reproduction_is_shown_with_its_reason(
    experiment: Experiment, tmp_path: Path, all_failed: bool
) -> None:
    results = copy.deepcopy(experiment.results)
    failed = {"failure": "fold 1: the loss is nan", "folds": []}
    results["reproductions"] = [failed, failed if all_failed else results["reproductions"][1]]
    for kinds in results["test"].values():
        for metrics in kinds.values():
            for metric, value in metrics.items():
                metrics[metric] = confidence_interval(value["values"][1:])
    if all_failed:
        results["test"] = {}
    text = page_of(results, tmp_path).text
    assert "the loss is nan" in text
    assert ("No reproduction succeeded." in text) == all_failed


def test_a_run_without_search_has_a_page(experiment: Experiment, tmp_path: Path) -> None:
    results = copy.deepcopy(experiment.results)
    results["config"]["search"], results["importance"] = {}, {}
    results["trials"] = [results["trials"][0] | {"params": {}}]
    results["best"] |= {"trial": 0, "params": {}}
    assert "Search" in page_of(results, tmp_path).text


def published_text(experiment: Experiment, folder: Path, protocol: str, model: str) -> str:
    """What the page says of published figures, for a run as if it were on CUB-200-2011."""
    presets = {"protocol": protocol, "dataset": "cub200", "model": model, "loss": "contrastive"}
    config = compose(presets)
    results = copy.deepcopy(experiment.results)
    results["config"]["protocol"]["recall_at"] = config.protocol.recall_at
    for kinds in results["test"].values():
        for metrics in kinds.values():
            metrics |= {f"recall_at_{k}": metrics["r_precision"] for k in config.protocol.recall_at}
    results["published"] = published_figures(config)
    _, _, after = page_of(results, folder).text.partition("Published figures")
    return after.partition(" Search ")[0]


def test_published_validation_scores_stand_beside_the_best_validation_score(
    experiment: Experiment, tmp_path: Path
) -> None:
    text = published_text(experiment, tmp_path, "mlrc", "bn_inception")
    best = f"{experiment.results['best']['validation_map_at_r']:.4f}"
    assert (
        f"this run: PotentialFieldLoss small_cnn 64 {best} ContrastiveLoss bn_inception 128 0.4368"
        in text
    )
    assert "arXiv 2003.08505" in text
    assert "they are not test scores" in text
    test_scores = experiment.results["test"]["trained"]["separated"]
    assert not [score for score in test_scores.values() if interval(score) in text]


def test_published_recall_stands_beside_the_recall_on_the_test_classes(
    experiment: Experiment, tmp_path: Path
) -> None:
    text = published_text(experiment, tmp_path, "traditional", "bn_inception")
    recall = interval(experiment.results["test"]["trained"]["separated"]["r_precision"])
    assert f"this run: PotentialFieldLoss small_cnn 64 {recall} {recall} {recall}" in text
    assert "PFML bn_inception 512 0.715 0.812 0.883" in text
    assert "arXiv 2405.18560" in text
    assert "This run differs from theirs: model.embedding_size is 128, and 512 there." in text
    assert f"{experiment.results['best']['validation_map_at_r']:.4f}" not in text


def test_nothing_published_is_shown_for_other_data(page: Page) -> None:
    assert "Published figures" not in page.text


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_wrong_labels_are_said(experiment: Experiment, tmp_path: Path, noise: float) -> None:
    results = copy.deepcopy(experiment.results)
    results["config"]["dataset"]["label_noise"] = noise
    text = page_of(results, tmp_path).text
    assert ("20% of the training labels are wrong" in text) == (noise > 0)


def test_the_page_says_that_no_audit_was_made(page: Page) -> None:
    assert "audit none was made of these images; run pml-potential datasets audit , then" in page.text


def test_the_page_says_what_an_audit_found(experiment: Experiment, tmp_path: Path) -> None:
    counts = {"equal": {"border": 2, "classes": 0, "class": 1}, "near": dict.fromkeys(KINDS, 0)}
    audit = {"sound": False, "counts": counts, "labels": [["a b", "A_b"]], "files": [EVIL]}
    html = write_report(experiment.results, tmp_path, audit).read_text("utf-8")
    found = (
        "equal pictures: 2 across the border of training and test, 1 inside a class; near pictures: none"
    )
    text = Page(html).text
    assert f"An audit found faults in the images : {found}" in text
    assert f"audit {found}; one label in several spellings: a b, A_b" in text
    assert EVIL not in html


def test_a_sound_audit_is_no_warning(experiment: Experiment, tmp_path: Path) -> None:
    counts = {"equal": dict.fromkeys(KINDS, 0), "near": {"border": 0, "classes": 0, "class": 6}}
    audit = {"sound": True, "counts": counts, "labels": [], "files": []}
    text = Page(write_report(experiment.results, tmp_path, audit).read_text("utf-8")).text
    assert "found faults" not in text
    assert "audit equal pictures: none; near pictures: 6 inside a class" in text


def test_the_verdict_is_on_top_in_sentences_about_this_run(experiment: Experiment, page: Page) -> None:
    top = page.text.partition("Result on the test classes")[0]
    for said in (*verdict(experiment.results), best_hyperparameters(experiment.results)):
        assert said in top
    assert what_would_help(experiment.results) in top
    assert (why_validation_differs(experiment.results) or "nothing") in top


def test_each_reproduction_has_its_scores(experiment: Experiment, page: Page) -> None:
    for kind, metrics in experiment.results["test"]["trained"].items():
        for place in (0, 1):
            values = [f"{metrics[metric]['values'][place]:.4f}" for metric in METRICS]
            assert " ".join([str(place + 1), kind, *values]) in page.text


def test_reproductions_that_failed_have_no_row_and_the_others_keep_their_numbers(
    experiment: Experiment, tmp_path: Path
) -> None:
    results = copy.deepcopy(experiment.results)
    results["reproductions"].insert(0, {"failure": "fold 1: the loss is nan", "folds": []})
    values = results["test"]["trained"]["separated"][PRIMARY_METRIC]["values"]
    text = page_of(results, tmp_path).text
    assert f"2 separated {values[0]:.4f}" in text
    assert f"3 separated {values[1]:.4f}" in text


def test_what_a_model_finds_is_shown_with_hits_and_misses(experiment: Experiment, page: Page) -> None:
    found = read_json(RunFolder(experiment.folder).retrieval)
    rows = [row for rows in found["rows"].values() for row in rows]
    tiles = [each for row in rows for each in (row["query"], *row["neighbors"])]
    assert page.tags.count("img") == len(tiles)
    hits = [each["hit"] for row in rows for each in row["neighbors"]]
    shown = page.text.partition("What it finds")[2].partition("hardest of n")[0]
    assert shown.count(" ✓ ") == hits.count(True) + 1
    assert shown.count(" ✗ ") == hits.count(False) + 1
    for each in found["classes"][:10]:
        assert f"{each['class']} {each['queries']} {each['precision_at_1']:.4f}" in page.text


def test_names_of_classes_and_images_are_shown_as_text(experiment: Experiment, tmp_path: Path) -> None:
    found = read_json(RunFolder(experiment.folder).retrieval)
    for row in found["rows"]["hardest"]:
        row["query"] |= {"class": EVIL, "name": EVIL + '" onerror="x'}
    found["classes"][0]["class"] = found["map"]["class"][0] = EVIL
    html = write_report(experiment.results, tmp_path, None, found).read_text("utf-8")
    plain = Page(write_report(experiment.results, tmp_path).read_text("utf-8"))
    evil = Page(html)
    assert evil.tags.count("b") == 0
    assert evil.tags.count("script") == plain.tags.count("script") + 1
    assert "<script>alert" not in html.split("<body>")[1]


def test_rows_without_pictures_are_shown_by_their_names(experiment: Experiment, tmp_path: Path) -> None:
    found = read_json(RunFolder(experiment.folder).retrieval)
    for rows in found["rows"].values():
        for row in rows:
            for each in (row["query"], *row["neighbors"]):
                each["picture"] = None
    page = Page(write_report(experiment.results, tmp_path, None, found).read_text("utf-8"))
    assert "img" not in page.tags
    assert page.text.count(found["rows"]["hardest"][0]["query"]["name"]) >= 1


def test_what_is_missing_is_said(experiment: Experiment, tmp_path: Path) -> None:
    missing = {"missing": "cub200 is not in data/cub200"}
    text = Page(write_report(experiment.results, tmp_path, None, missing).read_text("utf-8")).text
    assert "map are not shown: cub200 is not in data/cub200." in text


def test_a_part_of_the_test_images_is_said_to_be_one(experiment: Experiment, tmp_path: Path) -> None:
    found = read_json(RunFolder(experiment.folder).retrieval) | {"images": 1000}
    text = Page(write_report(experiment.results, tmp_path, None, found).read_text("utf-8")).text
    assert "1,000 of the 3,200 test images: fewer images are easier to search" in text


def test_what_goes_into_a_paper_lies_beside_the_page(experiment: Experiment, page: Page) -> None:
    folder = experiment.folder / "report"
    methods = (folder / "methods.tex").read_text("utf-8")
    assert methods == methods_paragraph(experiment.results) + "\n"
    entries = (folder / "references.bib").read_text("utf-8")
    keys = {key for found in re.findall(r"cite\{([^}]+)", methods) for key in found.split(",")}
    assert keys == set(re.findall(r"@\w+\{([^,]+),", entries))
    assert methods.strip() in page.text
    named = re.findall(r"\w+\.(?:csv|tex|bib|json)", page.text)
    assert len(named) >= 8
    assert [name for name in named if not (folder / name).is_file()] == []


def test_the_report_again_gives_the_same_bytes(experiment: Experiment, tmp_path: Path) -> None:
    found = read_json(RunFolder(experiment.folder).retrieval)
    write_report(read_results(experiment.folder), tmp_path, None, found)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (experiment.folder / "report" / path.name).read_bytes(), path.name
