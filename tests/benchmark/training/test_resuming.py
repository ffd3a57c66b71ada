"""A fold that is killed at any moment goes on, and ends as one that was left alone."""

import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from pml_potential.benchmark.files import read_state
from pml_potential.benchmark.training.fold import FoldResult, finished_fold
from tests.benchmark.training.fold_process import Work, everything, kill

# What every option leaves behind is compared in one process, in test_fold_trainer.py.
WORKS = {
    "a loss with proxies": Work(),
    "Adam, a schedule and a warm-up": Work(
        (
            "model.warm_up_epochs=2",
            "model.trunk_optimizer={name: Adam, lr: 1.0e-3}",
            "training.schedule={name: StepLR, params: {step_size: 1, gamma: 0.5}}",
        )
    ),
    "a trunk that learns behind a block": Work(("model.freeze_until='3'",)),
    "a head that starts in the data": Work(("model.head.start=pca",)),
    "images that processes load and turn": Work(workers=2),
}
WITHOUT_MODELS = Work(keep_models=False)


@cache
def uninterrupted(work: Work) -> tuple[FoldResult, dict[str, Any], float]:
    """The result of a fold that nobody interrupted, all that it left, and how long it took."""
    folder = Path(mkdtemp()) / "fold"
    start = time.monotonic()
    assert work.end(folder) == 0
    return *ended(folder), time.monotonic() - start


def ended(folder: Path) -> tuple[FoldResult, dict[str, Any]]:
    result = finished_fold(folder)
    assert result is not None
    return result, everything(folder)


def assert_as_uninterrupted(folder: Path, work: Work) -> None:
    result, left = ended(folder)
    expected, expected_left, _ = uninterrupted(work)
    assert (result.score, result.best_epoch, result.history) == (
        expected.score,
        expected.best_epoch,
        expected.history,
    )
    assert left == expected_left
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("name", WORKS)
def test_a_fold_killed_at_random_moments_ends_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    work = WORKS[name]
    duration = uninterrupted(work)[-1]
    moments = random.Random(name)
    for _ in range(2):
        process = work.start(tmp_path / "fold")
        time.sleep(moments.uniform(0.2, 1) * duration)
        kill(process)
    assert work.end(tmp_path / "fold") == 0
    assert_as_uninterrupted(tmp_path / "fold", work)


@pytest.mark.parametrize(
    "sign",
    [
        "logs/logs.db",
        "models/trunk_best.pth",
        "checkpoints",
        "checkpoints/0002.pt",
        "checkpoints/0005.pt",
        "result.json",
    ],
)
def test_a_fold_killed_as_soon_as_it_wrote_something_ends_as_if_it_had_not_been(
    sign: str, tmp_path: Path
) -> None:
    work = Work()
    process = work.start(tmp_path / "fold")
    while process.is_alive() and not (tmp_path / "fold" / sign).exists():
        pass
    kill(process)
    assert work.end(tmp_path / "fold") == 0
    assert_as_uninterrupted(tmp_path / "fold", work)


def stop_at(epoch: int) -> Callable[[int, float | None], None]:
    def report(reached: int, _score: float | None) -> None:
        if reached == epoch:
            raise KeyboardInterrupt

    return report


def stopped(folder: Path, epoch: int = 3, work: Work | None = None) -> None:
    """Train so many epochs."""
    with pytest.raises(KeyboardInterrupt):
        (work or Work()).train(folder, stop_at(epoch))


def test_a_process_that_dies_in_the_middle_of_a_checkpoint_goes_on_from_the_one_before(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "fold"
    stopped(tmp_path / "measured")
    size = (tmp_path / "measured" / "checkpoints" / "0003.pt").stat().st_size
    assert size > 2 * (tmp_path / "measured" / "logs" / "logs.db").stat().st_size
    code = Work(limits=((2, size // 2),), dies_at_limit=True, keep_models=False).end(folder)
    assert code == -signal.SIGXFSZ
    assert {path.name for path in folder.glob("checkpoints/*.pt")} == {"0001.pt", "0002.pt"}
    (unfinished,) = folder.glob("checkpoints/.*.tmp")
    assert 0 < unfinished.stat().st_size < size
    work = WITHOUT_MODELS
    assert work.end(folder) == 0
    assert_as_uninterrupted(folder, work)


def test_a_resumed_fold_reports_only_its_own_epochs_and_adds_up_their_time(tmp_path: Path) -> None:
    stopped(tmp_path / "fold")
    before = read_state(tmp_path / "fold" / "checkpoints" / "0003.pt")["seconds"]
    told: list[int] = []
    result = Work().train(tmp_path / "fold", lambda epoch, _score: told.append(epoch))
    assert told == [4, 5]
    assert result.seconds > before > 0


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "fold"
    stopped(folder)
    path = folder / "checkpoints" / "0003.pt"
    path.write_bytes(path.read_bytes()[:-1])
    told: list[int] = []
    with pytest.warns(UserWarning, match=r"0003\.pt is damaged.*set aside as 0003\.pt\.damaged_1"):
        result = Work().train(folder, lambda epoch, _score: told.append(epoch))
    assert told == [3, 4, 5]
    assert result.history == uninterrupted(Work())[0].history
    assert [path.name for path in folder.glob("checkpoints/*")] == ["0003.pt.damaged_1"]


def test_a_fold_whose_checkpoints_are_all_damaged_starts_anew(tmp_path: Path) -> None:
    folder = tmp_path / "fold"
    stopped(folder)
    for path in folder.glob("checkpoints/*.pt"):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="is damaged"):
        Work().train(folder)
    assert_as_uninterrupted(folder, Work())
    aside = tmp_path / "fold.interrupted_1"
    assert len(list(aside.glob("checkpoints/*.damaged_1"))) == 2


def test_a_checkpoint_of_other_work_is_never_used(tmp_path: Path) -> None:
    folder = tmp_path / "fold"
    stopped(folder, work=Work(seed=4))
    with pytest.warns(UserWarning, match="is of another configuration, seed or data set"):
        Work().train(folder)
    assert_as_uninterrupted(folder, Work())
    assert (tmp_path / "fold.interrupted_1" / "checkpoints" / "0003.pt").is_file()


def test_a_fold_whose_records_are_damaged_starts_anew(tmp_path: Path) -> None:
    folder = tmp_path / "fold"
    stopped(folder)
    path = folder / "logs" / "logs.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match=r"logs\.db.*the fold starts again"):
        Work().train(folder)
    assert_as_uninterrupted(folder, Work())
    assert (tmp_path / "fold.interrupted_1").is_dir()


def with_other_score(text: str) -> str:
    return json.dumps(json.loads(text) | {"score": 0.99})


@pytest.mark.parametrize(
    "damage",
    [
        lambda _text: "",
        lambda text: text[: len(text) // 2],
        lambda _text: "null",
        lambda text: text.replace("best_epoch", "best_epoxh"),
        with_other_score,
    ],
)
def test_a_damaged_result_is_set_aside_and_the_fold_trained_again(
    damage: Callable[[str], str], tmp_path: Path
) -> None:
    folder = tmp_path / "fold"
    stopped(folder, epoch=5)
    _, left, _ = uninterrupted(Work())
    path = folder / "result.json"
    path.write_text(damage(json.dumps(vars(uninterrupted(Work())[0]))))
    assert finished_fold(folder) is None
    with pytest.warns(UserWarning, match="result.json is damaged; set aside as result.json.damaged_1"):
        result = Work().train(folder)
    assert result.history == uninterrupted(Work())[0].history
    assert everything(folder)["tables"] == left["tables"]
    assert (folder / "result.json.damaged_1").is_file()


@pytest.mark.parametrize(
    ("after", "size", "name"),
    [(0, 100, ""), (0, 20_000, "logs/logs.db"), (2, 100_000, "checkpoints/0003.pt")],
)
def test_what_cannot_be_written_is_an_error_that_names_it_and_the_same_call_goes_on(
    after: int, size: int, name: str, tmp_path: Path
) -> None:
    folder, work = tmp_path / "fold", WITHOUT_MODELS
    assert replace(work, limits=((after, size),)).end(folder) == 3
    assert str(folder / name) in (tmp_path / "error").read_text()
    assert not list(folder.rglob("*.tmp"))
    assert work.end(folder) == 0
    assert_as_uninterrupted(folder, work)


def test_of_two_processes_on_one_fold_the_second_waits_and_reads_the_result(tmp_path: Path) -> None:
    folder = tmp_path / "fold"
    processes = [Work().start(folder) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert_as_uninterrupted(folder, Work())
    assert not list(tmp_path.glob("fold.interrupted_*"))


def test_a_waiting_process_goes_on_when_the_first_dies(tmp_path: Path) -> None:
    folder = tmp_path / "fold"
    first = Work().start(folder)
    while first.is_alive() and not (folder / "checkpoints" / "0001.pt").exists():
        pass
    second = Work().start(folder)
    kill(first)
    second.join()
    assert second.exitcode == 0
    assert_as_uninterrupted(folder, Work())
    assert not list(tmp_path.glob("fold.interrupted_*"))
