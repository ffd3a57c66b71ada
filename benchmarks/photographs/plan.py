"""All cells, in the order in which they are trained: the most valuable first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.photographs.cells import Cell, read_part
from benchmarks.photographs.settings import (
    CANDIDATES,
    EMOJI,
    FEW_IMAGES,
    FEW_WRONG_LABELS,
    FROM_SCRATCH,
    FROM_SCRATCH_WRONG_LABELS,
    QUESTIONS,
    SEEDS,
    TINY,
    TRIALS,
    VARIANTS,
    WRONG_LABEL_SETTINGS,
    WRONG_LABELS,
    trial,
)

MOST_ROBUST = 6
"""Number of losses that are trained with wrong labels: the two fields, and the best four others."""

OURS = ("potential_field", "cpml")

Part = Callable[[], Iterator[Cell]]


def untrained() -> Iterator[Cell]:
    """The network before its first step, with both heads."""
    for start in ("random", "pca"):
        yield Cell("untrained", start, "contrastive", {"model.head.start": start})


def search() -> Iterator[Cell]:
    """The trials of every loss, of which the validation classes choose one."""
    for number in range(TRIALS):
        for preset in CANDIDATES:
            yield Cell("search", f"{preset}-{number}", preset, trial(preset, number))


def comparison() -> Iterator[Cell]:
    """The best trial of every loss with new seeds, judged on the test classes."""
    for seed in SEEDS:
        for preset, changes in best_trials().items():
            yield Cell("comparison", f"{preset}-{seed}", preset, changes, seed, is_judged=True)


def wrong_labels() -> Iterator[Cell]:
    """The same with wrong labels."""
    yield from _with_shares("wrong_labels", WRONG_LABELS)


def few_wrong_labels() -> Iterator[Cell]:
    """The same with few wrong labels."""
    yield from _with_shares("few_wrong_labels", FEW_WRONG_LABELS)


def _with_shares(part: str, shares: Sequence[float]) -> Iterator[Cell]:
    for share in shares:
        for seed in SEEDS:
            for preset, changes in with_wrong_labels().items():
                changed = {**changes, "dataset.label_noise": share}
                name = f"{preset}-{share:g}-{seed}"
                yield Cell(part, name, preset, changed, seed, is_judged=True)


def wrong_label_settings() -> Iterator[Cell]:
    """Other settings of PotentialFieldLoss with wrong labels."""
    best = best_trials().get("potential_field")
    if best is None:
        return
    for seed in SEEDS:
        for name, values in WRONG_LABEL_SETTINGS.items():
            changes = {**best, **values, "dataset.label_noise": WRONG_LABELS[0]}
            cell = f"{name}-{seed}"
            yield Cell("wrong_label_settings", cell, "potential_field", changes, seed, is_judged=True)


def questions() -> Iterator[Cell]:
    """Single values of PotentialFieldLoss and variants, all else as in its best trial."""
    best = best_trials().get("potential_field")
    if best is None:
        return
    for seed in SEEDS:
        for path, values in QUESTIONS.items():
            for value in values:
                changes: dict[str, Any] = {**best, path: value}
                if path == "loss.params.proxies_per_class" and value == 0:
                    changes = {key: changes[key] for key in changes if "optimizer" not in key}
                    changes |= {"loss.optimizer": None, "loss.initialize_proxies_after_epoch": None}
                name = f"{path.rpartition('.')[2]}={value}-{seed}"
                yield Cell("questions", name, "potential_field", changes, seed)
        for variant, (_title, several) in VARIANTS.items():
            changes = {**best, **several}
            yield Cell("questions", f"variant={variant}-{seed}", "potential_field", changes, seed)


def few_images() -> Iterator[Cell]:
    """Many classes of three pictures each."""
    for seed in SEEDS:
        for preset, changes in best_trials().items():
            if preset not in FEW_IMAGES:
                continue
            ours = preset == "potential_field"
            for proxies in (1, 2) if ours else (None,):
                changed = {**changes, "loss.params.proxies_per_class": proxies} if ours else changes
                name = f"{preset}{proxies or ''}-{seed}"
                yield Cell("few_images", name, preset, changed, seed, is_judged=True, images=EMOJI)


def from_scratch() -> Iterator[Cell]:
    """A network that has seen nothing before, with right and wrong labels."""
    for seed in SEEDS[:2]:
        for share in FROM_SCRATCH_WRONG_LABELS:
            for preset, changes in best_trials().items():
                if preset in FROM_SCRATCH:
                    changed = {**changes, "dataset.label_noise": share}
                    name = f"{preset}-{share:g}-{seed}"
                    yield Cell("from_scratch", name, preset, changed, seed, is_judged=True, images=TINY)


def best_trials() -> dict[str, Mapping[str, Any]]:
    """The changes of each loss's best trial; no loss before all trials are finished."""
    rows = read_part("search")
    if len(rows) < TRIALS * len(CANDIDATES):
        return {}
    return {
        preset: max(
            (rows[f"{preset}-{number}"] for number in range(TRIALS)),
            key=lambda row: row.get("validation", 0.0),
        )["changes"]
        for preset in CANDIDATES
    }


def with_wrong_labels() -> dict[str, Mapping[str, Any]]:
    """The losses that are trained with wrong labels: ours, and the best others on validation."""
    best, rows = best_trials(), read_part("search")
    scores = {
        preset: max(row.get("validation", 0.0) for row in rows.values() if row["preset"] == preset)
        for preset in best
    }
    others = sorted(set(best) - set(OURS), key=lambda preset: -scores[preset])
    chosen = (*OURS, *others[: MOST_ROBUST - len(OURS)])
    return {preset: best[preset] for preset in chosen if best}


AT_ONCE: tuple[Part, ...] = (search, comparison, wrong_labels)
SEED_BY_SEED: tuple[Part, ...] = (wrong_label_settings, questions, few_images, from_scratch)
"""Parts that get their first seed before one of them gets a second."""

PARTS = (*AT_ONCE, *SEED_BY_SEED, few_wrong_labels)
"""All parts, in the order of the page."""


def in_order() -> Iterator[Cell]:
    """All trainings; later ones need the results of the search."""
    for part in AT_ONCE:
        yield from part()
    for seed in SEEDS:
        for part in SEED_BY_SEED:
            yield from (cell for cell in part() if cell.seed == seed)
    yield from few_wrong_labels()
