"""An exception is said in a line, whoever raised it."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import DataLoader, Dataset

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.image_reading import UnreadableImageError, read_image


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigError("they differ in\n  seed: 1 and 2"), "they differ in\n  seed: 1 and 2"),
        (RuntimeError("first line\n  and where it was"), "first line"),
        (RuntimeError(""), "RuntimeError"),
        (AssertionError(), "AssertionError"),
        (KeyError("score"), "KeyError: 'score'"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "a.csv: No such file or directory"),
        (OSError("no number, and no file"), "no number, and no file"),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "aaa"),
            "aaa: File name too long; choose a shorter name",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_reason_is_a_line_of_words(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


class _Pictures(Dataset[torch.Tensor]):
    """Pictures of which one is damaged, as a data set of many has."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.asarray(read_image(self.path)))


def test_the_traceback_of_a_process_that_loads_images_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "damaged.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UnreadableImageError) as raised:
        list(DataLoader(_Pictures(path), num_workers=1))
    assert "Traceback" in str(raised.value)
    reason = reason_of(raised.value)
    assert reason.startswith(f"cannot read the image {path}: it is none of JPEG")
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "{a: 1",
            "while parsing a flow mapping, expected ',' or '}', but got '<stream end>', in",
        ),
        ("a: b: c", "mapping values are not allowed here, in line 1, column 5"),
        ("!!python/name:os.system", "could not determine a constructor for the tag"),
    ],
)
def test_what_is_wrong_in_yaml_is_said_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(yaml.YAMLError) as raised:
        yaml.safe_load(text)
    assert reason_of(raised.value).startswith(reason)
    assert "\n" not in reason_of(raised.value)
