from pathlib import Path

import pytest

from pml_potential.benchmark.config.run_folder import RunFolder, feature_cache, fold_folder, image_cache

RUN = RunFolder(Path("runs") / "mine")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (RUN.configuration, "runs/mine/config.yaml"),
        (RUN.environment, "runs/mine/environment.json"),
        (RUN.database, "runs/mine/study.db"),
        (RUN.storage, "runs/mine/storage.json"),
        (RUN.results, "runs/mine/report/results.json"),
        (RUN.retrieval, "runs/mine/report/retrieval.json"),
        (RUN.analysis, "runs/mine/analysis"),
        (RUN.trial(0), "runs/mine/trials/0000"),
        (RUN.trial(12345), "runs/mine/trials/12345"),
        (fold_folder(RUN.reproduction(9), 3), "runs/mine/reproductions/0009/fold_3"),
        (RUN.feature_cache, "runs/features"),
        (image_cache(RUN.feature_cache), "runs/resized"),
    ],
)
def test_what_a_run_keeps_lies_where_earlier_runs_have_it(found: Path, expected: str) -> None:
    assert found == Path(expected)


def test_runs_in_one_folder_share_their_caches() -> None:
    other = RunFolder(Path("runs") / "other")
    assert other.feature_cache == RUN.feature_cache == feature_cache(Path("runs"))
