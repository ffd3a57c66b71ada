"""Values that the papers try."""

from pml_potential.benchmark.config.published_grids import GRIDS, NOISE_LEVELS


def test_grids_are_paths_of_losses_with_rising_values() -> None:
    for path, values in GRIDS.items():
        assert path.startswith("loss.params.")
        assert list(values) == sorted(set(values))


def test_levels_begin_with_clean_labels() -> None:
    assert NOISE_LEVELS[0] == 0
    assert all(0 <= level <= 1 for level in NOISE_LEVELS)
