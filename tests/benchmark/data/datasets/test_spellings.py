import pytest

from pml_potential.benchmark.data.datasets.glyphs import load_glyphs
from pml_potential.benchmark.data.datasets.spellings import spelled_in_several_ways


@pytest.mark.parametrize(
    "names",
    [
        ("Great Dane", "great dane"),
        ("Great Dane", "Great_Dane"),
        ("great dane", "great  dane "),
        ("great-dane", "great\N{EN DASH}dane"),
        ("T-shirt", "tshirt"),
        ("Caf\u00e9 au lait", "cafe\u0301 au lait"),
        ("ﬁsh", "fish"),
        ("Straße", "strasse"),
        ("dog\N{ZERO WIDTH SPACE}", "dog"),
        ("ＡＢＣ", "abc"),
        ("Audi S4 2012", "audi_s4_2012"),
    ],
)
def test_one_class_in_two_spellings_is_found(names: tuple[str, str]) -> None:
    assert spelled_in_several_ways([*names, "something else"]) == [names]


@pytest.mark.parametrize(
    "names",
    [
        ("A", "a"),
        ("1-2", "12"),
        ("1 2", "12"),
        ("-1", "1"),
        ("-10", "10"),
        ("C", "C++"),
        ("1.5", "15"),
        ("01", "1"),
        ("cat", "cats"),
        ("x²", "x³"),
    ],
)
def test_different_classes_are_left_alone(names: tuple[str, str]) -> None:
    assert spelled_in_several_ways(names) == []


def test_letters_are_told_apart_by_case() -> None:
    assert spelled_in_several_ways(load_glyphs().class_names) == []


def test_all_spellings_of_a_class_come_together() -> None:
    names = ["b_c", "a", "B C", "bc", "d", "D E", "d e"]
    assert spelled_in_several_ways(names) == [("b_c", "B C", "bc"), ("D E", "d e")]
