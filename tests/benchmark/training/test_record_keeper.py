"""Records hold what PML's hooks log, and nothing that they cannot write."""

from pathlib import Path

import pytest
import torch

from pml_potential import PotentialFieldLoss
from pml_potential.benchmark.training.record_keeper import record_keeper


def test_records_hold_the_scalars_of_a_loss_and_no_whole_parameters(tmp_path: Path) -> None:
    loss = PotentialFieldLoss(num_classes=3, embedding_size=4)
    scalar = torch.nn.Parameter(torch.tensor([0.25]))
    with record_keeper(tmp_path) as keeper:
        keeper.update_records({"metric_loss": loss}, 0, recursive_types=[torch.nn.Module, dict])
        keeper.update_records({"margin": scalar}, 0, parent_name="learnt")
        held = [series for group in keeper.record_writer.records.values() for series in group]
    assert "margin" in held
    assert "num_classes" in held
    assert "proxies" not in held


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "fold").write_text("a file")
    with pytest.raises(OSError, match="fold"), record_keeper(tmp_path / "fold"):
        pass
