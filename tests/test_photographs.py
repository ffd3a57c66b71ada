"""The study on photographs: its plan runs, goes on after a stop, and its page shows its results."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from benchmarks.photographs import cells, headline, page, plan
from benchmarks.photographs.cells import Cell, Laboratory, read_part
from benchmarks.photographs.claims import answers, claims
from benchmarks.photographs.pull import medians, pull
from benchmarks.photographs.settings import CANDIDATES, CARS, TRIALS, VARIANTS, base_config, trial
from benchmarks.photographs.variants import EmbeddingEnergyLoss, register
from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.experiments.runnable import check_runnable
from pml_potential.fields.formula import energies_by_formula
from tests.benchmark.data.datasets.miniatures import write_class_folders

SHORT = {
    "protocol.max_epochs": 2,
    "protocol.iterations_per_epoch": 2,
    "protocol.batch_size": 12,
    "protocol.crop.views": 1,
}
"""Of a training that takes seconds."""


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    monkeypatch.setattr(cells, "RESULTS", tmp_path / "results")
    write_class_folders(tmp_path / "data" / CARS, classes=24, images=4, side=32)
    return Laboratory(tmp_path / "data", tmp_path / "work")


def cell(**changes: Any) -> Cell:
    return Cell("part", "name", "proxy_anchor", {**SHORT, **changes})


@pytest.mark.parametrize("preset", CANDIDATES)
def test_every_trial_can_be_run(preset: str) -> None:
    trials = [trial(preset, number) for number in range(TRIALS)]
    assert len({repr(each) for each in trials}) == TRIALS
    assert {each["model.head.start"] for each in trials} == {"random", "pca"}
    for changes in trials:
        check_runnable(with_values(base_config(preset, CARS, "data"), changes))


def test_a_trained_cell_is_not_trained_again_and_has_its_numbers_again(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = replace(cell(), is_judged=True)
    laboratory.train(judged)
    row = read_part("part")["name"]
    assert 0 < row["validation"] <= 1
    assert len(row["history"]) == 2
    assert set(row["test"]) == {"mean_average_precision_at_r", "r_precision", "precision_at_1"}
    laboratory.train(replace(judged, name="again"))
    again = read_part("part")["again"]
    assert {**again, "seconds": 0} == {**row, "seconds": 0}
    monkeypatch.setattr(cells, "train_fold", None)
    laboratory.train(judged)
    with pytest.raises(TypeError):
        laboratory.train(replace(judged, name="new"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_of_the_field_trains(laboratory: Laboratory, variant: str) -> None:
    _title, changes = VARIANTS[variant]
    values = {**SHORT, "loss.initialize_proxies_after_epoch": 0, **changes}
    laboratory.train(Cell("part", variant, "potential_field", values))
    assert read_part("part")[variant]["validation"] > 0


def test_the_variant_without_the_energy_of_the_proxies_is_what_the_embeddings_have() -> None:
    torch.manual_seed(0)
    embeddings, labels = torch.randn(20, 8), torch.arange(20) % 4
    variant = EmbeddingEnergyLoss(4, 8, 2, delta=0.9)
    normalized = normalize(torch.cat([embeddings, variant.proxies.detach()]))
    everything = torch.cat([labels, variant.proxy_labels])
    energies = energies_by_formula(normalized, everything, variant.potential)
    torch.testing.assert_close(variant(embeddings, labels), energies[:20].sum() / 28)


def test_another_seed_has_other_wrong_labels(laboratory: Laboratory) -> None:
    changes = {**SHORT, "dataset.label_noise": 0.5}
    labels = []
    for seed in (1, 2):
        config, data = laboratory.set_up(replace(cell(), changes=changes, seed=seed))
        labels.append(data.training_labels(config, 0))
    assert (labels[0] != labels[1]).any()


def test_a_training_that_diverges_is_a_row_without_a_score(laboratory: Laboratory) -> None:
    laboratory.train(cell(**{"model.trunk_optimizer": {"name": "SGD", "lr": 1e30}}))
    assert "NaN or infinity" in read_part("part")["name"]["failure"]


def test_later_parts_wait_for_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "RESULTS", tmp_path)
    assert [each for part in plan.PARTS[1:] for each in part()] == []
    rows = {each.name: {"validation": 0.1} | vars(each) for each in plan.search()}
    rows["contrastive-3"]["validation"] = 0.9
    monkeypatch.setattr(plan, "read_part", lambda _part: rows)
    assert plan.best_trials()["contrastive"] == trial("contrastive", 3)
    assert next(iter(plan.with_wrong_labels())) == "potential_field"
    assert "contrastive" in plan.with_wrong_labels()
    register()
    for part in plan.PARTS[1:]:
        for each in islice(part(), None, None, 8):
            check_runnable(with_values(base_config(each.preset, each.images, "data"), each.changes))


def test_the_plan_counts_what_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {each.name: {"validation": 0.1} | vars(each) for each in plan.search()}
    monkeypatch.setattr(plan, "read_part", lambda _part: rows)
    assert [len(list(part())) for part in plan.PARTS] == [count for _, count in page.PLANNED.values()]
    trained = {(each.part, each.name) for each in plan.in_order()}
    assert len(trained) == sum(count for _, count in page.PLANNED.values())


def test_every_question_has_one_seed_before_any_has_two(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {each.name: {"validation": 0.1} | vars(each) for each in plan.search()}
    monkeypatch.setattr(plan, "read_part", lambda _part: rows)
    names = {part.__name__ for part in plan.SEED_BY_SEED}
    seeds = [each.seed for each in plan.in_order() if each.part in names]
    assert seeds == sorted(seeds)


def judged(preset: str, number: int, score: float, **changes: Any) -> dict[str, Any]:
    """A row whose seeds scatter a little."""
    found = score + 0.001 * number
    return {
        "preset": preset,
        "changes": changes,
        "validation": found,
        "history": [0.5 * found, found],
        "test": {"mean_average_precision_at_r": found},
    }


@pytest.mark.parametrize(
    ("score", "verdict"), [(0.2, "holds"), (0.1, "undecided"), (0.05, "does not hold")]
)
def test_a_claim_is_judged_by_a_test_of_the_difference(score: float, verdict: str) -> None:
    rows = {
        f"{preset}-{number}": judged(preset, number, score if preset == "potential_field" else 0.1)
        for preset in CANDIDATES
        for number in (1, 2, 3)
    }
    noisy = {
        name: judged(row["preset"], 0, row["validation"] / 2, **{"dataset.label_noise": 0.2})
        for name, row in rows.items()
    }
    parts = {"comparison": rows, "wrong_labels": noisy, "questions": {}}
    found = {each.claim: each.verdict for each in claims(parts)}
    assert found["PFML beats losses of pairs and of proxies (PFML, Section 4.2)"] == verdict
    assert found["A force that decays beats one that grows (PFML, Section 4.2)"] == verdict
    assert found["PFML stands wrong labels best (PFML, Section 4.3): 20% wrong"] == verdict
    assert found["Mean-field losses converge faster (mean-field paper)"] == "undecided"


def test_a_published_optimum_is_judged_by_the_grid() -> None:
    path = "loss.params.delta"
    rows = {
        value: {
            f"delta={value}-{number}": judged(
                "potential_field", number, 0.1 + value / 10, **{path: value}
            )
            for number in (1, 2, 3)
        }
        for value in (0.1, 0.3, 0.5)
    }
    # What the best trial has is measured by the comparison.
    parts = {"questions": rows[0.1] | rows[0.5], "comparison": rows[0.3], "wrong_labels": {}}
    assert list(answers(parts, path)) == [0.1, 0.3, 0.5]
    found = {each.claim: each for each in claims(parts)}
    assert found["delta of 0.1 to 0.3 is best (PFML, Section 4.5)"].verdict == "does not hold"


def test_the_headline_says_how_the_field_stands_where_all_seeds_are_there() -> None:
    def rows(share: float, scores: dict[str, float], seeds: int = 3) -> dict[str, Any]:
        changes = {"dataset.label_noise": share}
        return {
            f"{preset}-{share}-{seed}": judged(preset, seed, score, **changes)
            for preset, score in scores.items()
            for seed in range(seeds)
        }

    clean = rows(0.0, {"potential_field": 0.1, "contrastive": 0.2, "cpml": 0.1005})
    noisy = rows(0.2, {"potential_field": 0.2, "contrastive": 0.1, "cpml": 0.15})
    unfinished = rows(0.4, {"potential_field": 0.2, "contrastive": 0.1, "cpml": 0.15}, seeds=2)
    parts = {"comparison": clean, "wrong_labels": noisy | unfinished}
    assert headline.sentences(parts) == [
        "With right labels `PotentialFieldLoss` is behind `ContrastiveLoss`; its differences from the "
        "others are within chance.",
        "With 20% wrong labels `PotentialFieldLoss` is ahead of `ContrastiveLoss` and `CPMLLoss`.",
        "With 20% wrong labels `PotentialFieldLoss` keeps 199% of its score, `ContrastiveLoss` 50%.",
    ]
    lines = headline.table(parts).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        "PotentialFieldLoss",
        "CPMLLoss",
        "ContrastiveLoss",
    ]
    assert "40%" not in lines[0]
    assert headline.table({"comparison": clean, "wrong_labels": {}}) == ""


def test_the_share_of_the_pull_falls_with_decay_where_wrong_labels_lie_far() -> None:
    angles = torch.tensor([0.0, 0.4, 2.0])
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels, is_wrong = torch.zeros(3, dtype=torch.long), torch.tensor([False, False, True])
    near, far = 2 * torch.tensor([0.2]).sin(), 2 * torch.tensor([1.0, 0.8]).sin()
    for alpha in (0.0, 3.0):
        wrong, right = (far ** -(alpha + 1)).sum(), 2 * near ** -(alpha + 1)
        expected = (wrong / (wrong + right)).item()
        assert pull(points, labels, is_wrong, alpha, delta=0.1) == pytest.approx(expected, rel=1e-4)
    assert pull(points, labels, is_wrong, alpha=3.0, delta=0.5) == pytest.approx(1.0)
    assert medians(points, torch.tensor([0, 0, 1])) == {"within": 0.397, "between": 1.435}


def test_page_is_made_from_the_committed_results() -> None:
    assert page.page() == page.PAGE.read_text()


def test_committed_trials_are_those_of_the_plan() -> None:
    planned = {each.name: each.changes for each in plan.search()}
    rows = read_part("search")
    assert rows
    assert {name: row["changes"] for name, row in rows.items()} == {name: planned[name] for name in rows}
