"""The command that writes the features of a data set."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.data import features
from pml_potential.benchmark.data.datasets.features import load_features


def test_features_of_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["features", "digits.npz", "--dataset", "digits"]
    made = features._Rows.start_from

    def interrupted(rows: features._Rows, start: int):  # type: ignore[no-untyped-def]
        for number, block in enumerate(made(rows, start)):
            if number == 2 and start == 0:
                raise KeyboardInterrupt
            begins.append(start)
            yield block

    begins: list[int] = []
    monkeypatch.setattr(features._Rows, "start_from", interrupted)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 130
    assert "Stopped. The same command resumes digits.npz." in result.output
    assert not Path("digits.npz").exists()
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert result.output == "Wrote 1,797 vectors of 96 numbers to digits.npz\n"
    assert begins[-1] == 128
    found = load_features(Path("digits.npz"))
    assert found.class_names == tuple("0123456789")
    assert np.isfinite(found.vectors).all()
