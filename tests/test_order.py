"""The files that are run first are there."""

import pytest

from tests.conftest import LONGEST


@pytest.mark.parametrize("name", LONGEST)
def test_a_file_that_is_run_first_is_there(name: str, pytestconfig: pytest.Config) -> None:
    assert (pytestconfig.rootpath / name).is_file()


def test_the_longest_files_come_first(request: pytest.FixtureRequest) -> None:
    run = [item.path.relative_to(item.config.rootpath).as_posix() for item in request.session.items]
    in_order = list(dict.fromkeys(run))
    assert in_order[: len(set(run) & set(LONGEST))] == [name for name in LONGEST if name in run]
