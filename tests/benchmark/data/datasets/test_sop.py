from pathlib import Path

from pml_potential.benchmark.data.datasets.sop import load_sop
from tests.benchmark.data.datasets.listed_images import classes_of
from tests.benchmark.data.datasets.miniatures import write_sop


def test_products_are_read_as_published(tmp_path: Path) -> None:
    images = load_sop(write_sop(tmp_path, classes=12, images=2))
    assert images.name == "sop"
    assert images.class_names == tuple(str(number) for number in range(1, 13))
    assert images.labels.tolist() == [label for label in range(12) for _ in range(2)]
    assert classes_of(images, "train") == ["1", "2", "3", "4", "5", "6"]
    assert classes_of(images, "test") == ["7", "8", "9", "10", "11", "12"]
    assert all(path.is_file() for path in images.paths)


def test_products_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    base = write_sop(tmp_path, classes=4, images=1) / "Stanford_Online_Products"
    for name in ("Ebay_train.txt", "Ebay_test.txt"):
        header, *lines = (base / name).read_text().splitlines()
        (base / name).write_text("\n".join([header, *reversed(lines)]) + "\n")
    images = load_sop(tmp_path)
    assert images.labels.tolist() == [1, 0, 3, 2]
    assert [path.stem for path in images.paths] == [f"11000000000{n}_0" for n in (1, 0, 3, 2)]


def test_the_inner_folder_is_a_root_too(tmp_path: Path) -> None:
    root = write_sop(tmp_path)
    assert load_sop(root / "Stanford_Online_Products").sha256 == load_sop(root).sha256
