from pathlib import Path

import pytest
import typer

from pml_potential.benchmark.commands.options import composed, default_folder, presets_of
from pml_potential.benchmark.config.schema import ConfigError

QUICK = {"protocol": "quick", "dataset": "glyphs", "model": "small_cnn", "loss": "cpml"}


@pytest.mark.parametrize(
    ("preset", "protocol", "chosen"),
    [
        (None, None, "quick"),
        ("mlrc", None, "mlrc"),
        (None, "mlrc", "mlrc"),
        ("mlrc", "mlrc", "mlrc"),
        ("my/own.yaml", None, "my/own.yaml"),
    ],
)
def test_the_protocol_is_given_in_either_place(
    preset: str | None, protocol: str | None, chosen: str
) -> None:
    found = presets_of(preset, protocol, "glyphs", "small_cnn", "cpml")
    assert found == QUICK | {"protocol": chosen}


def test_two_protocols_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        presets_of("quick", "mlrc", "glyphs", "small_cnn", "cpml")
    assert ended.value.exit_code == 2
    expected = "error: the protocol is given twice, as 'quick' and as --protocol 'mlrc'\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("presets", "folder"),
    [
        (QUICK, "quick-glyphs-small_cnn-cpml"),
        (QUICK | {"loss": "my/losses/mine.yaml"}, "quick-glyphs-small_cnn-mine"),
    ],
)
def test_a_run_has_a_folder_by_the_names_of_its_presets(presets: dict[str, str], folder: str) -> None:
    assert default_folder(presets) == Path("runs") / folder


def test_values_that_were_set_lie_over_the_presets() -> None:
    assert composed(QUICK, None) == composed(QUICK, [])
    assert composed(QUICK, ["seed=3", "seed=4"]).seed == 4


def test_every_name_is_looked_up() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'loss\.params\.alhpa'"):
        composed(QUICK, ["loss.params.alhpa=1.0"])
