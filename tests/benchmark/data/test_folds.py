"""How a configuration reads its images, with label noise where it asks for some."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pml_potential.benchmark.config.composing import compose, with_values
from pml_potential.benchmark.config.presets import preset_names
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.data.folds import (
    FoldData,
    divide,
    frozen_trunk,
    load_fold_data,
    uses_features,
)
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.report.published_figures import published_figures
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_picture
from tests.benchmark.tiny import tiny_config

NOISY = "dataset.label_noise=0.2"
FROZEN = "model.freeze_trunk=true"
PICTURES = "model.input={mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}"
CROP = "protocol.crop={resize: 20, size: 16}"

GLYPHS = load_glyphs()
CLEAN, NOISY_RUN = tiny_config(), tiny_config(NOISY)


def train_labels(config: Config, fold: int, data: FoldData) -> NDArray[np.int64]:
    return data.fold(config, fold)[0].labels


@pytest.fixture(scope="module")
def data() -> FoldData:
    return divide(CLEAN, GLYPHS, Path("not used"))


def test_a_fifth_of_the_training_labels_is_wrong_and_of_training_classes(data: FoldData) -> None:
    for fold in range(2):
        before, after = (train_labels(config, fold, data) for config in (CLEAN, NOISY_RUN))
        assert np.mean(before != after) == pytest.approx(0.2, abs=0.5 / len(before))
        assert set(after) <= set(before)


def test_what_is_read_names_its_data_set_for_checkpoints(data: FoldData) -> None:
    assert {tensors.source for tensors in data.fold(CLEAN, 0)} == {GLYPHS.sha256}


def test_what_is_read_has_the_wrong_label(data: FoldData) -> None:
    train, _ = data.fold(NOISY_RUN, 0)
    assert [train[index][1] for index in range(50)] == train.labels[:50].tolist()


def test_validation_and_test_labels_stay_clean(data: FoldData) -> None:
    for fold in range(2):
        clean, noisy = (data.fold(config, fold)[1].labels for config in (CLEAN, NOISY_RUN))
        np.testing.assert_array_equal(clean, noisy)
    np.testing.assert_array_equal(data.test(CLEAN).labels, data.test(NOISY_RUN).labels)


def test_the_noise_is_the_same_for_the_whole_run_and_another_for_another_seed(data: FoldData) -> None:
    first, again = (train_labels(NOISY_RUN, 1, data) for _ in range(2))
    other = train_labels(tiny_config(NOISY, "seed=1"), 1, data)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def composed(protocol: str, *assignments: str) -> Config:
    presets = {"dataset": "cub200", "model": "bn_inception", "loss": "contrastive"}
    return compose(presets | {"protocol": protocol}, assignments, check_names)


@pytest.mark.parametrize("protocol", preset_names("protocol"))
def test_every_protocol_takes_noise(protocol: str) -> None:
    assert composed(protocol, NOISY).dataset.label_noise == 0.2


@pytest.mark.parametrize("protocol", ["mlrc", "traditional"])
def test_no_published_figure_stands_beside_a_run_with_noise(protocol: str) -> None:
    assert published_figures(composed(protocol)) is not None
    assert published_figures(composed(protocol, NOISY)) is None


@pytest.mark.parametrize("noise", ["-0.1", "1.1", "lots", ".nan"])
def test_a_share_that_is_none_is_refused(noise: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset.label_noise"):
        tiny_config(f"dataset.label_noise={noise}")


@pytest.fixture(scope="module")
def few() -> ImageArrays:
    chosen = np.flatnonzero((GLYPHS.labels < 40) & (np.arange(len(GLYPHS.labels)) % 32 < 4))
    return ImageArrays("few", GLYPHS.images[chosen], GLYPHS.labels[chosen], GLYPHS.class_names[:40])


def test_data_of_a_deterministic_protocol_make_the_process_deterministic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    load_fold_data(CLEAN, tmp_path)
    assert not torch.are_deterministic_algorithms_enabled()
    try:
        load_fold_data(tiny_config("protocol.deterministic=true"), tmp_path)
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_frozen_trunk_is_read_as_its_features(few: ImageArrays, tmp_path: Path) -> None:
    config = tiny_config(FROZEN)
    features = divide(config, few, tmp_path).for_evaluation(config, np.arange(3))
    pixels = torch.from_numpy(few.images[:3]).float().unsqueeze(1) / 127.5 - 1
    with torch.no_grad():
        expected = frozen_trunk(config, few).eval()(pixels)
    torch.testing.assert_close(torch.stack([features[index][0] for index in range(3)]), expected)


def test_trials_share_features_unless_their_trunks_differ(few: ImageArrays, tmp_path: Path) -> None:
    divided = divide(CLEAN, few, tmp_path)
    for assignment, files in (("loss.params.alpha=2.0", 1), ("sampler.m=2", 1), ("seed=1", 2)):
        divided.prepare(tiny_config(FROZEN, assignment))
        assert len(list(tmp_path.iterdir())) == files


@pytest.mark.parametrize(
    ("assignments", "found"),
    [
        ([], False),
        ([FROZEN], True),
        ([FROZEN, PICTURES], False),
        ([FROZEN, PICTURES, "protocol.crop={size: 16, augment: false}"], True),
        ([PICTURES, "protocol.crop={size: 16, augment: false}"], False),
    ],
)
def test_features_are_used_where_a_frozen_trunk_always_sees_the_same(
    assignments: list[str], found: bool
) -> None:
    assert uses_features(tiny_config(*assignments)) is found


def test_pictures_are_cropped_at_random_in_training_and_in_the_middle_otherwise(tmp_path: Path) -> None:
    config = tiny_config(PICTURES, CROP)
    pictures = load_folder(write_class_folders(tmp_path / "data", classes=8, images=2))
    train, validation = divide(config, pictures, tmp_path / "features").fold(config, 0)
    assert train[0][0].shape == validation[0][0].shape == (3, 16, 16)
    torch.manual_seed(0)
    assert not train[0][0].equal(train[0][0])
    assert validation[0][0].equal(validation[0][0])
    assert len(list((tmp_path / "resized").iterdir())) == 2


def test_without_augmentation_training_reads_what_evaluation_reads(tmp_path: Path) -> None:
    config = tiny_config(PICTURES, "protocol.crop={resize: 20, size: 16, augment: false}")
    pictures = load_folder(write_class_folders(tmp_path / "data", classes=8, images=2))
    data = divide(config, pictures, tmp_path / "features")
    train, _ = data.fold(config, 0)
    judged = data.for_evaluation(config, data.splits.folds[0].train)
    assert all(train[index][0].equal(judged[index][0]) for index in range(len(train)))


def test_too_few_classes_for_the_folds_are_told(few: ImageArrays, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"protocol\.folds: .*40 classes.*at least 80"):
        divide(tiny_config("protocol.folds=20"), few, tmp_path)


@pytest.mark.parametrize("frozen", [False, True])
def test_images_are_read_as_the_configuration_of_the_trial_says(
    few: ImageArrays, tmp_path: Path, frozen: bool
) -> None:
    """Also where a search chooses how: training, test and export have one white."""
    still = "protocol.crop={resize: 16, size: 16, augment: false}"
    settings = (PICTURES, still, *([FROZEN] if frozen else []))
    config = tiny_config(*settings, "search.model.input.white={low: 0.5, high: 2.0}")
    divided = divide(config, few, tmp_path / "features")
    for white in (0.5, 2.0):
        trial = with_values(config, {"model.input.white": white})
        alone = divide(trial, few, tmp_path / "features")
        for found, expected in (
            (divided.test(trial), alone.test(trial)),
            (divided.fold(trial, 0)[0], alone.fold(trial, 0)[0]),
        ):
            assert found[3][0].equal(expected[3][0])
    different = [divided.test(with_values(config, {"model.input.white": white})) for white in (0.5, 2.0)]
    assert not different[0][3][0].equal(different[1][3][0])


BEHIND = "model.freeze_until='3'"
"""The second convolution of the small network."""


def test_a_partly_frozen_trunk_reads_what_its_block_takes(few: ImageArrays, tmp_path: Path) -> None:
    config = tiny_config(BEHIND)
    data = divide(config, few, tmp_path)
    train, judged = data.fold(config, 0)[0], data.for_evaluation(config, np.arange(3))
    pixels = torch.from_numpy(few.images[:3]).float().unsqueeze(1) / 127.5 - 1
    with torch.no_grad():
        expected = frozen_trunk(config, few).eval()[:3](pixels)  # type: ignore[index]
    found = torch.stack([judged[index][0] for index in range(3)])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert (train.width, judged.width, found.dtype) == (None, None, torch.float32)
    # Whole images know no chance: one view serves both.
    assert len(list(tmp_path.iterdir())) == 1


def test_training_sees_the_random_views_and_evaluation_the_middle(tmp_path: Path) -> None:
    crop = "protocol.crop={resize: 20, size: 16, views: 3}"
    config = tiny_config(PICTURES, crop, BEHIND)
    pictures = load_folder(write_class_folders(tmp_path / "data", classes=8, images=2))
    data = divide(config, pictures, tmp_path / "features")
    train, _ = data.fold(config, 0)
    judged = data.for_evaluation(config, data.splits.folds[0].train)
    assert len(list((tmp_path / "features").iterdir())) == 4
    torch.manual_seed(0)
    drawn = {tuple(train[0][0].flatten().tolist()) for _ in range(40)}
    assert len(drawn) == 3
    assert tuple(judged[0][0].flatten().tolist()) not in drawn
    assert len({tuple(judged[0][0].flatten().tolist()) for _ in range(9)}) == 1


def test_runs_with_other_seeds_share_what_pretrained_layers_give(tmp_path: Path) -> None:
    pictures = load_folder(write_class_folders(tmp_path / "data", classes=8, images=2))
    weights = tmp_path / "weights.pth"
    made = tiny_config(PICTURES)
    torch.save(frozen_trunk(made, pictures).state_dict(), weights)
    crop = "protocol.crop={resize: 20, size: 16, views: 2}"
    for assignment, files in (
        ("seed=0", 3),
        ("seed=1", 3),
        ("protocol.crop.views=3", 4),
        ("model.freeze_until='4'", 7),
        ("protocol.crop.augment=false", 7),
    ):
        config = tiny_config(PICTURES, crop, BEHIND, f"model.weights={weights}", assignment)
        divide(config, pictures, tmp_path / "features").prepare(config)
        assert len(list((tmp_path / "features").iterdir())) == files


def test_images_of_two_sizes_need_a_model_with_an_input(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "imgs", classes=8, images=2, side=24)
    write_picture(root / "kind_5" / "1.png", 5, 1, side=16)
    images = load_folder(root)
    for frozen in ("true", "false"):
        config = tiny_config(f"model.freeze_trunk={frozen}")
        with pytest.raises(ConfigError, match=r"0\.png has 24 x 24 .*5/1\.png 16 x 16.*model.input"):
            divide(config, images, tmp_path / "features").prepare(config)
    config = tiny_config("model.input={mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}", CROP)
    train, _ = divide(config, images, tmp_path / "features").fold(config, 0)
    assert {tuple(train[index][0].shape) for index in range(len(train))} == {(3, 16, 16)}
