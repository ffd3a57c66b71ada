"""Text is printed as it is, on whatever terminal."""

import io
import sys

import pytest
from rich.table import Table

from pml_potential.benchmark.commands.terminal import new_console, print_whatever_comes

ODD = "runs/r[test] [/x] [bold]:smile: 12"


def test_brackets_and_colons_mean_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    console = new_console()
    console.print(ODD, soft_wrap=True)
    table = Table(ODD, title=ODD)
    table.add_row(ODD)
    console.print(table, soft_wrap=True)
    assert capsys.readouterr().out.count(ODD) == 4


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "0.5 ± 0.1 – é \\xe9 名"),
        ("latin-1", "0.5 ± 0.1 - é \\xe9 \\u540d"),
        ("ascii", "0.5 +/- 0.1 - \\xe9 \\xe9 \\u540d"),
    ],
)
def test_what_an_encoding_lacks_is_spelled(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    print_whatever_comes()
    # The second but last is a byte of a file's name that is no UTF-8.
    new_console().print("0.5 ± 0.1 – é \udce9 名", soft_wrap=True)
    print("0.5 ± 0.1 – é \udce9 名", file=sys.stderr)
    for stream in streams:
        stream.seek(0)
        assert stream.read() == f"{shown}\n"


def test_output_that_is_no_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    print_whatever_comes()
    new_console().print("±")
    assert isinstance(sys.stdout, io.StringIO)
    assert sys.stdout.getvalue() == "±\n"
