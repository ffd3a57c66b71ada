import pytest

from pml_potential.benchmark.config.nearest import did_you_mean

NAMES = ["alpha", "delta", "delta_rep", "num_classes"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("alhpa", "alpha"), ("delta_rap", "delta_rep"), ("numclasses", "num_classes"), ("delt", "delta")],
)
def test_the_nearest_name_is_asked_for(name: str, nearest: str) -> None:
    assert did_you_mean(name, NAMES) == f", did you mean {nearest!r}?"


@pytest.mark.parametrize(("name", "names"), [("gamma_ray", NAMES), ("alpha", []), ("", NAMES)])
def test_nothing_is_asked_where_no_name_is_near(name: str, names: list[str]) -> None:
    assert did_you_mean(name, names) == ""
