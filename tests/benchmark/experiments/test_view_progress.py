"""What a person is told while frozen layers compute their views."""

import io

import pytest
from rich.console import Console

from pml_potential.benchmark.experiments.view_progress import ViewProgress


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_file_gets_the_size_first_and_then_a_few_lines() -> None:
    console = Console(file=io.StringIO(), width=40)
    with ViewProgress(console) as watch:
        for done in range(0, 601, 10):
            watch("6 of 6 views of 100 images, 0.70 GB in a folder with a long name", done, 600)
    first, *others = written(console).splitlines()
    assert first == "computing 6 of 6 views of 100 images, 0.70 GB in a folder with a long name"
    assert [line.partition(":")[0] for line in others] == ["17%", "33%", "50%", "67%", "83%", "100%"]
    assert all("images per second, left about 0:" in line for line in others)


def test_a_terminal_gets_the_size_and_one_line_that_goes_away() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with ViewProgress(console) as watch:
        watch("6 views", 0, 600)
        watch("6 views", 300, 600)
        watch("6 views", 600, 600)
    assert "computing 6 views" in written(console)
    assert "100%" in written(console)
    assert written(console).endswith(("\x1b[2K", "\x1b[?25h\r\x1b[1A\x1b[2K"))


@pytest.mark.parametrize("is_terminal", [True, False])
def test_where_nothing_is_computed_nothing_is_told(is_terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=is_terminal)
    with ViewProgress(console):
        pass
    assert "computing" not in written(console)
    assert "%" not in written(console)
