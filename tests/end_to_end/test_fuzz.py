"""Whatever a person hands to a command, the answer is a result or an error in words: 500 examples."""

import io
import os
import shutil
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pml_potential.benchmark.config.composing import to_yaml
from tests.benchmark.tiny import tiny_config
from tests.end_to_end.command import Ended, call


def fuzzed(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# Bytes, as file systems have them; a long name and one of a single sign are as good as any.
NAMES = (
    st.binary(min_size=1, max_size=300)
    .map(lambda name: os.fsdecode(name.replace(b"/", b"|").replace(b"\0", b"0")))
    .filter(lambda name: name not in {".", ".."})
)
ODD_TEXT = st.text(st.sampled_from(string.printable + "é±名\u202e\x85\ud800\0"), max_size=40)
PATHS = st.sampled_from(
    [
        *("dataset", "dataset.root", "dataset.file", "dataset.columns", "dataset.columns.label"),
        *("dataset.label_noise", "protocol", "protocol.name", "protocol.folds", "protocol.recall_at"),
        *("protocol.study", "protocol.study.pruner", "model", "model.trunk", "model.weights"),
        *("model.pooling", "model.input", "model.trunk_optimizer", "loss", "loss.name", "loss.miner"),
        *("loss.params", "loss.params.alpha", "loss.optimizer.lr", "sampler", "sampler.m"),
        *("training.schedule", "search", "search.sampler.m", "search.loss.params.alpha"),
        *("search.loss.params.alpha.low", "seed", "seed.x", ".", "..", "="),
    ]
)


CONFIGURATION = to_yaml(tiny_config())


def pictures() -> list[bytes]:
    kinds = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(buffer, kind)
        kinds.append(buffer.getvalue())
    return kinds


@st.composite
def damaged(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    """One of some files with a few bytes changed, or cut off; or bytes that are none."""
    content = bytearray(draw(st.sampled_from([*whole, b""])))
    for place, byte in draw(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8)):
        if content:
            content[int(place * len(content))] = byte
    return bytes(content[: draw(st.integers(0, len(content)))]) + draw(st.binary(max_size=20))


TABLES = [
    b"path,label\nimgs/a/0.png,a\nimgs/b/0.png,b\n",
    b"\xef\xbb\xbfpath;label;split\nimgs/a/0.png;a;train\n",
    b'path\tlabel\n"imgs/a/0.png"\t1\n',
    "path,label\nimgs/a/0.png,é\n".encode("utf-16"),
]


CELLS = st.text(st.sampled_from('"; ./a1é\0'), max_size=5)
ROWS = st.lists(st.tuples(CELLS, CELLS)).map(
    lambda rows: "".join(f"{path},{label}\n" for path, label in [("path", "label"), *rows]).encode()
)


def answered(ended: Ended) -> None:
    """Check that a command has come to a result, or to an error of its own words."""
    assert ended.code in {0, 1, 2}, ended
    assert "Traceback" not in ended.output + ended.errors, ended
    assert not ended.errors.startswith("error: unexpected "), ended
    assert ended.code == 0 or ended.output or ended.errors.startswith(("error: ", "Usage: ")), ended


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / "imgs" / name).mkdir(parents=True)
        (tmp_path / "imgs" / name / "0.png").write_bytes(pictures()[0])
    return tmp_path


@given(name=NAMES)
@fuzzed(100)
def test_names_of_folders(name: str, place: Path) -> None:
    answered(call("report", "--", name))
    answered(call("datasets", "check", "folder", "--root", str(place / name)))
    answered(call("run", "--set", "dataset.root=x", "--folder", name))
    answered(call("compare", "--folder", name, "--", name, f"{name}2"))


@given(name=NAMES)
@fuzzed(15)
def test_names_of_folders_with_a_database(name: str, place: Path) -> None:
    folder = place / "runs" / name
    try:
        folder.mkdir(parents=True)
    except OSError:
        return
    (folder / "config.yaml").write_text(CONFIGURATION)
    answered(call("release", "--trial", "1", "--", str(folder)))
    assert (folder / "study.db").is_file()
    assert len(list((place / "runs").iterdir())) == 1
    shutil.rmtree(place / "runs")


@given(
    content=st.one_of(ROWS, damaged(TABLES)),
    suffix=st.sampled_from([".csv", ".CSV", ".parquet", ".tsv", ""]),
)
@fuzzed(100)
def test_bytes_of_tables(content: bytes, suffix: str, place: Path) -> None:
    table = place / f"table{suffix}"
    table.write_bytes(content)
    answered(call("datasets", "check", "table", "--file", str(table)))
    table.unlink()


@given(path=PATHS, value=ODD_TEXT)
@fuzzed(100)
def test_values_of_set(path: str, value: str, place: Path) -> None:
    # The table is not there, so that nothing begins whatever the value.
    dataset = place / "table.yaml"
    dataset.write_text("dataset: {name: table, file: nothing.csv}")
    answered(call("run", "--dataset", str(dataset), "--set", f"{path}={value}", "--folder", "r"))


@given(content=st.one_of(st.binary(max_size=60), ODD_TEXT.map(lambda t: t.encode(errors="replace"))))
@fuzzed(85)
def test_bytes_of_yaml(content: bytes, place: Path) -> None:
    for kind in ("dataset", "loss"):
        file = place / f"{kind}.yaml"
        file.write_bytes(content)
        answered(call("run", f"--{kind}", str(file), "--set", "dataset.file=nothing.csv"))
    (place / "r").mkdir(exist_ok=True)
    (place / "r" / "config.yaml").write_bytes(content)
    answered(call("worker", "r"))


@given(content=damaged(pictures()))
@fuzzed(100)
def test_bytes_of_images(content: bytes, place: Path) -> None:
    (place / "imgs" / "a" / "1.png").write_bytes(content)
    answered(call("datasets", "check", "folder", "--root", str(place / "imgs")))
