"""Every tutorial runs from its first cell to its last, and comes to what its text says."""

import re
from pathlib import Path

import pml_potential
from documentation.notebooks import TUTORIALS, executed, read_notebook


def output_of(name: str, folder: Path) -> str:
    """All text that a tutorial puts out when it runs."""
    cells = executed(read_notebook(TUTORIALS / f"{name}.ipynb"), folder).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    shown = [each.get("data", {}).get("text/markdown", "") for each in outputs]
    return "\n".join([*shown, *(each.get("text", "") for each in outputs)])


def test_every_loss_that_is_swapped_in_learns(tmp_path: Path) -> None:
    output = output_of("swap_losses", tmp_path)
    found = re.findall(r"^\| ([\w ]+) \| ([\d.]+) \| ([\d.]+) \|$", output, re.MULTILINE)
    rows = {name: (float(p_at_1), float(map_at_r)) for name, p_at_1, map_at_r in found}
    untrained = rows.pop("before training")
    assert {name for name in pml_potential.__all__ if name.endswith("Loss")} < set(rows)
    assert len(rows) == 7
    assert all(row[0] > 2 * untrained[0] and row[1] > 2 * untrained[1] for row in rows.values()), rows


def test_images_become_a_model_that_is_better_than_untrained_and_an_index(tmp_path: Path) -> None:
    output = output_of("your_images", tmp_path)
    means = re.findall(r"([\d.]+) ±", re.findall("^MAP@R .+", output, re.MULTILINE)[0])
    assert float(means[0]) > float(means[2])
    assert "1280 images in 128 dimensions" in output


def test_the_networks_of_the_field_maps_learn(tmp_path: Path) -> None:
    before, *after = [
        float(score) for score in re.findall(r"P@1 ([\d.]+)", output_of("field_map", tmp_path))
    ]
    assert len(after) == 2
    assert before < 0.5 < 0.9 < min(after)
