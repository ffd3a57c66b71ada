"""The command for a GPU, run in miniature on the processor, and what its parts rely on."""

import importlib
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.on_gpu import kernels
from benchmarks.on_gpu.__main__ import main
from benchmarks.on_gpu.fine_tuning import FineTuning
from benchmarks.on_gpu.kernels import SHAPES, check_loss
from benchmarks.on_gpu.machine import Machine, this_machine
from benchmarks.on_gpu.page import PAGE, RESULTS, page
from benchmarks.on_gpu.parts import Part, Results, measure_in_time
from benchmarks.on_gpu.pictures import Pictures, cut, few_pictures, folder_of, random_boxes
from benchmarks.on_gpu.plan import FINE_TUNING, KERNELS, LOSS_STEP, trainings
from benchmarks.on_gpu.settings import LOSSES, MINIATURE, ON_GPU, training_config
from benchmarks.on_gpu.small_weights import write_small_weights
from pml_potential.benchmark.config.schema import ConfigError, Crop, Input
from pml_potential.benchmark.data.transforms import evaluation_transform
from pml_potential.benchmark.models.trunks import build_trunk

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
GPU = Machine(torch.device("cuda"), "Some GPU 80GB", "580.1", "abc")
CROP = Crop(resize=40, size=32, fit="squash")
INPUT = Input(mean=(127.0, 100.0, 90.0), std=(128.0, 120.0, 110.0), white=255.0)

NOT_NEEDED = ("optuna", "faiss", "plotly", "sqlalchemy", "typer", "pretrainedmodels", "pooch", "timm")
"""Libraries of the extra ``benchmark`` that a machine without network may lack."""


# The whole command


@pytest.fixture(scope="module")
def work(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """Where the miniature ran once, in a process without some libraries."""
    return made_once("on_gpu", _run_in_miniature)


def _run_in_miniature(folder: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\nfor name in {NOT_NEEDED}: sys.modules[name] = None\n"
            "from benchmarks.on_gpu.__main__ import main\n"
            f"sys.exit(main(['--minutes', '2', '--work', {str(folder)!r}]))",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    (folder / "said").write_text(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def rows(work: Path, group: str) -> dict[str, Any]:
    (path,) = (work / "results").glob(f"*-{group}.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_every_part_leaves_its_result_and_where_it_comes_from(work: Path) -> None:
    assert len(rows(work, KERNELS)) == len(kernels.LOSSES)
    assert [*rows(work, LOSS_STEP)] == ["small"]
    trained = rows(work, FINE_TUNING)
    assert [row["asked"]["preset"] for row in trained.values()] == [*LOSSES]
    for row in trained.values():
        assert row["origin"]["torch"] == str(torch.__version__)
        assert 0 < row["test"]["mean_average_precision_at_r"] <= 1
        assert row["validation"] == pytest.approx(max(row["history"]), abs=1e-5)
        assert row["asked"]["images"] == row["data"]["sha256"]
    summary = rows(work, "summary")
    assert len(summary["measured"]) == 1 + len(kernels.LOSSES) + len(trained)
    assert (summary["left_out"], summary["missing"], summary["failed"]) == ([], {}, {})


def test_the_cheap_parts_come_first(work: Path) -> None:
    parts = [line.partition(": ")[0] for line in (work / "said").read_text().splitlines()]
    assert parts[: len(kernels.LOSSES) + 2] == [*[KERNELS] * len(kernels.LOSSES), LOSS_STEP, FINE_TUNING]


def test_a_comparison_is_whole_before_the_next_begins(tmp_path: Path) -> None:
    root = few_pictures(None, tmp_path / "few")
    parts = [*trainings(ON_GPU, root, tmp_path, {}, CPU)]
    found = [
        (part.asked["network"], part.asked["seed"], part.asked["wrong_labels"])
        for part in parts[:: len(LOSSES)]
    ]
    assert found == [
        (f"efficientnet_lite{size}", seed, share)
        for size in (0, 2)
        for seed in (1, 2, 3)
        for share in (0.0, 0.2)
    ]
    assert [part.asked["preset"] for part in parts[: len(LOSSES)]] == [*LOSSES]
    assert len({part.name for part in parts}) == len(parts)


def test_the_same_line_goes_on_from_what_is_there(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = next(iter(rows(work, KERNELS).values()))
    assert row["are_right"] is True
    results = tmp_path / "results"
    for path in (work / "results").iterdir():
        results.mkdir(exist_ok=True)
        (results / path.name).write_bytes(path.read_bytes())
    (path,) = results.glob(f"*-{FINE_TUNING}.json")
    whole = json.loads(path.read_text())
    *kept, removed = whole
    path.write_text(json.dumps({name: whole[name] for name in kept}))
    assert main(["--minutes", "2", "--work", str(work), "--results", str(results)]) == 0
    assert "measured 1 parts" in capsys.readouterr().out
    again = json.loads(path.read_text())
    for key in ("history", "test", "validation", "asked"):
        assert again[removed][key] == whole[removed][key]


def test_a_page_of_results_shows_each_table(work: Path) -> None:
    text = page(work / "results")
    assert "Not yet measured" not in text
    for line in (
        r"\| CPMLLoss, delta 0.5 \| float32 \| pairs \|.*\| 8 of 8 \|",
        r"\| small \| 168 \| formula \| [\d.]+ ms \|",
        r"\| efficientnet_lite0 \| 20% \| ProxyAnchorLoss \| 0\.\d{4} \|",
    ):
        assert re.search(line, text), line


def test_committed_page_is_made_from_the_committed_results() -> None:
    assert page(RESULTS) == PAGE.read_text(), "run `python -m benchmarks.on_gpu.page`"


def test_committed_results_are_of_gpus() -> None:
    for path in RESULTS.glob(f"*-{KERNELS}.json"):
        assert all(row["engine"] == "gpu_kernels" for row in json.loads(path.read_text()).values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "--minutes is 0; it must be above 0"),
        (["--weights", "no.pth"], "--weights: there is no file no.pth"),
    ],
)
def test_arguments_without_sense_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_data_that_are_not_there_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--data", "nowhere.tar", "--work", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(
        "error: --data nowhere.tar does not exist; give the folder"
    )


# Parts and their time


def part(name: str, measure: Callable[[], dict[str, Any]], guess: float = 1, asked: int = 0) -> Part:
    return Part("group", name, "kind", guess, {"asked": asked}, measure)


class Clock:
    """Time that goes on only while a part is measured."""

    def __init__(self) -> None:
        self.now = 0.0

    def takes(self, seconds: float) -> Callable[[], dict[str, Any]]:
        def measure() -> dict[str, Any]:
            self.now += seconds
            return {"found": seconds}

        return measure


def silent(_text: str) -> None:
    pass


def test_a_part_begins_only_if_it_is_likely_to_end_in_time(tmp_path: Path) -> None:
    clock, results = Clock(), Results(tmp_path, GPU)
    parts = [part("a", clock.takes(8), guess=20), part("b", clock.takes(8)), part("c", clock.takes(1))]
    summary = measure_in_time(parts, results, 23, silent, lambda: clock.now)
    # The third would end in time, but those of its kind took 8 seconds, and 7 are left.
    assert (summary.measured, summary.left_out) == (["group: a", "group: b"], ["group: c"])
    assert [*json.loads((tmp_path / "some-gpu-80gb-group.json").read_text())] == ["a", "b"]
    summary = measure_in_time(parts, results, 23, silent, lambda: clock.now)
    assert (summary.kept, summary.measured) == (["group: a", "group: b"], ["group: c"])


def test_a_part_that_depends_on_something_else_is_measured_anew(tmp_path: Path) -> None:
    clock, results = Clock(), Results(tmp_path, GPU)
    measure_in_time([part("a", clock.takes(1))], results, 9, silent)
    summary = measure_in_time([part("a", clock.takes(2), asked=1)], results, 9, silent)
    assert summary.measured == ["group: a"]
    assert results.rows("group")["a"]["found"] == 2


def test_a_part_that_fails_or_lacks_something_costs_the_others_nothing(tmp_path: Path) -> None:
    def lacks() -> dict[str, Any]:
        raise ConfigError("it needs weights")

    def fails() -> dict[str, Any]:
        raise RuntimeError("out of memory")

    results = Results(tmp_path, GPU)
    not_finite = part("d", lambda: {"found": float("nan")})
    parts = [part("a", lacks), part("b", fails), not_finite, part("c", Clock().takes(1))]
    summary = measure_in_time(parts, results, 9, silent)
    assert summary.measured == ["group: c"]
    assert summary.missing == {"group: a": "it needs weights"}
    assert summary.failed["group: b"] == "RuntimeError: out of memory"
    assert "d.found is nan" in summary.failed["group: d"]
    assert [*results.rows("group")] == ["c"]


# The losses against the formula


def test_a_wrong_gradient_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = "CPMLLoss, delta 0.5"
    assert check_loss(loss, SHAPES[1:2], CPU)["are_right"]
    original = kernels._by_formula
    monkeypatch.setattr(
        kernels,
        "_by_formula",
        lambda *given: (original(*given)[0], original(*given)[1] * (1 + 1e-2)),
    )
    found = check_loss(loss, SHAPES[1:2], CPU)
    assert not found["are_right"]
    assert {check["state"] for check in found["checks"] if not check["is_right"]} == {"random"}


def test_shapes_are_awkward_and_one_is_larger_than_any_tile() -> None:
    assert all(shape.points % 128 for shape in SHAPES if shape.points > 3)
    assert max(shape.points for shape in SHAPES) > 5000


# Training


def train(folder: Path, epochs: int, wrong_labels: float = 0.0) -> dict[str, Any]:
    root = few_pictures(None, folder / "few")
    # So fast that most epochs make it worse.
    changes = {"protocol.max_epochs": epochs, "model.trunk_optimizer.lr": 3e-3}
    scale = replace(MINIATURE, changes={**MINIATURE.changes, **changes})
    network, loss = MINIATURE.networks[0], LOSSES[1]
    config = training_config(scale, network, loss, "download", wrong_labels, str(root))
    return FineTuning(config, folder, CPU).train(config, seed=1)


def test_the_test_classes_see_the_network_of_the_best_epoch(tmp_path: Path) -> None:
    found = train(tmp_path, epochs=4)
    assert len(found["history"]) == 4
    assert found["test"] == train(tmp_path, found["best_epoch"])["test"]


def test_wrong_labels_change_what_is_learnt_and_not_what_is_judged(tmp_path: Path) -> None:
    clean, noisy = train(tmp_path, 1), train(tmp_path, 1, wrong_labels=0.5)
    assert noisy["untrained_validation"] == clean["untrained_validation"]
    assert noisy["test"] != clean["test"]


# Pictures


@pytest.fixture
def picture() -> Image.Image:
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (5, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((90, 50), Image.Resampling.BICUBIC)


def test_evaluation_sees_the_picture_as_the_benchmark_does(picture: Image.Image) -> None:
    expected = evaluation_transform(INPUT, CROP, 3)(picture)
    square = np.array(picture.resize((40, 40), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(square).permute(2, 0, 1)[None]
    found = Pictures(pixels, INPUT, CROP).eval()(torch.tensor([[0, 7]]))[0]
    # Pillow rounds after each of the two directions.
    assert (found - expected).abs().max() < 1.6 / min(INPUT.std)


def test_a_crop_is_that_of_torchvision(picture: Image.Image) -> None:
    pixels = torch.from_numpy(np.array(picture.resize((40, 40)))).permute(2, 0, 1)[None].float()
    left, top, width, height = 5, 8, 20, 30
    functional: Any = importlib.import_module("torchvision.transforms.v2.functional")
    expected = functional.resized_crop(pixels, top, left, height, width, [32, 32], antialias=False)
    box = torch.tensor([[left, top, width, height]]) / 40
    found = cut(pixels, box, 32)
    # At its edges a crop of torchvision ends, and this one sees the next pixel.
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=0, atol=1e-2)
    mirrored = torch.tensor([[left + width, top, -width, height]]) / 40
    torch.testing.assert_close(cut(pixels, mirrored, 32), found.flip(3), rtol=0, atol=1e-2)


def test_boxes_lie_inside_and_have_the_sizes_that_are_asked_for() -> None:
    boxes = random_boxes(4000, CROP, torch.Generator().manual_seed(0))
    left, top, width, height = boxes.unbind(1)
    is_mirrored = width < 0
    left, width = torch.where(is_mirrored, left + width, left), width.abs()
    assert min(left.min(), top.min()) >= -1e-6
    assert max((left + width).max(), (top + height).max()) <= 1 + 1e-6
    areas, ratios = width * height, width / height
    assert areas.min() >= 0.16 - 1e-6
    assert 0.75 - 1e-6 <= ratios.min() <= 0.76
    assert 1.32 <= ratios.max() <= 4 / 3 + 1e-6
    assert 0.45 < is_mirrored.float().mean() < 0.55
    assert left.std() > 0.1


def test_crops_depend_on_their_seed_alone(picture: Image.Image) -> None:
    pixels = torch.from_numpy(np.array(picture.resize((40, 40)))).permute(2, 0, 1)[None]
    first = Pictures(pixels, INPUT, CROP)
    once, again, other = (first(torch.tensor([[0, seed]])) for seed in (3, 3, 4))
    assert once.equal(again)
    assert not once.equal(other)


@pytest.mark.parametrize("top", ["", "pictures/"])
def test_an_archive_and_a_folder_are_the_same_data(tmp_path: Path, top: str) -> None:
    folder = few_pictures(None, tmp_path / "few")
    assert folder_of(folder, tmp_path) == folder
    with tarfile.open(tmp_path / "few.tar.gz", "w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, f"{top}{path.name}")
    for _ in range(2):
        unpacked = folder_of(tmp_path / "few.tar.gz", tmp_path / "work")
        assert [path.name for path in sorted(unpacked.iterdir())] == [f"{n:03d}" for n in range(16)]


# Settings


@pytest.mark.parametrize("network", ON_GPU.networks)
def test_small_weights_take_half_the_room_and_give_the_same_features(
    network: str, tmp_path: Path
) -> None:
    path = write_small_weights(network, tmp_path)
    assert path.stat().st_size < 10 * 2**20
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features = []
    for weights in ("download", str(path)):
        config = training_config(ON_GPU, network, LOSSES[0], weights, 0.0, "")
        trunk, _ = build_trunk(config.model, channels=3, pretrained=True)
        features.append(trunk.eval()(images).detach())
    assert (features[0] - features[1]).norm() < 1e-2 * features[0].norm()


def test_a_training_on_a_gpu_is_the_study_at_another_scale() -> None:
    config = training_config(ON_GPU, "efficientnet_lite2", "potential_field", "download", 0.2, "cars")
    assert (config.model.trunk, config.model.amp) == ("efficientnet_lite2", "bfloat16")
    assert (config.model.freeze_until, config.model.channels_last) == (None, True)
    assert (config.protocol.crop.size, config.protocol.crop.fit) == (224, "squash")
    assert (config.dataset.label_noise, config.dataset.root) == (0.2, "cars")
    assert config.protocol.batch_size == 100


def test_a_miniature_has_the_networks_and_losses_of_the_real_one() -> None:
    assert MINIATURE.networks == ON_GPU.networks[:1]
    assert this_machine().origin["commit"] == this_machine("other").origin["commit"]
