from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pml_potential.benchmark.models import build_trunk
from pml_potential.benchmark.models.weights import WeightsError, load_weights, weights_hash
from tests.benchmark.models.networks import model_of


class Code:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("this must never be printed",))


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def assert_loads(content: Any, expected: nn.Module, path: Path) -> None:
    torch.save(content, path)
    loaded = network()
    load_weights(loaded, path)
    assert weights_hash(loaded) == weights_hash(expected)


def refusal(path: Path, module: nn.Module | None = None) -> str:
    target = network() if module is None else module
    before = weights_hash(target)
    with pytest.raises(WeightsError) as raised:
        load_weights(target, path)
    assert weights_hash(target) == before
    return str(raised.value)


@pytest.mark.parametrize("container", [None, "state_dict", "model", "teacher"])
@pytest.mark.parametrize("prefix", ["", "module.", "module.backbone.", "trunk.", "_orig_mod."])
def test_a_state_dict_is_found_where_training_scripts_leave_it(
    container: str | None, prefix: str, tmp_path: Path
) -> None:
    source = network()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    content = state if container is None else {container: state, "epoch": 3, "student": {"x": 1}}
    assert_loads(content, source, tmp_path / "weights.pth")


def test_safetensors_are_read(tmp_path: Path) -> None:
    source, loaded = network(), network()
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    load_weights(loaded, str(tmp_path / "weights.safetensors"))
    assert weights_hash(loaded) == weights_hash(source)


def test_a_prefix_that_the_network_has_itself_stays(tmp_path: Path) -> None:
    source, loaded = (nn.ModuleDict({"trunk": network()}) for _ in range(2))
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    load_weights(loaded, tmp_path / "weights.pth")
    assert weights_hash(loaded) == weights_hash(source)


def test_counters_of_batches_may_be_missing_in_old_files(tmp_path: Path) -> None:
    source = network()
    state = {key: value for key, value in source.state_dict().items() if "num_batches" not in key}
    assert_loads(state, source, tmp_path / "weights.pth")


def test_a_classifier_is_left_over_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = network()
    head = {"fc.weight": torch.zeros(2, 4), "module.head.0.bias": torch.zeros(2)}
    with caplog.at_level(logging.INFO):
        assert_loads(source.state_dict() | head, source, tmp_path / "weights.pth")
    assert "fc.weight, head.0.bias" in caplog.text


def test_all_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    state = network().state_dict()
    state["0.weight"] = torch.zeros(4, 1, 3, 3)
    state["strange"] = torch.zeros(1)
    state["module.1.weight"] = torch.zeros(4)
    del state["0.bias"]
    torch.save(state, tmp_path / "weights.pth")
    message = refusal(tmp_path / "weights.pth")
    for part in (
        str(tmp_path / "weights.pth"),
        "0.bias is missing",
        "0.weight is (4, 1, 3, 3), not (4, 3, 3, 3)",
        "strange is not in the network",
        "module.1.weight and another entry are both 1.weight",
    ):
        assert part in message


def test_a_long_list_is_cut_short(tmp_path: Path) -> None:
    state = network().state_dict() | {f"strange{number}": torch.zeros(1) for number in range(9)}
    torch.save(state, tmp_path / "weights.pth")
    assert refusal(tmp_path / "weights.pth").endswith("strange4 is not in the network; and 4 more")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "there is no weights file" in refusal(tmp_path / "nowhere.pth")
    assert "there is no weights file" in refusal(tmp_path)


def test_code_in_a_file_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Code()}, tmp_path / "weights.pth")
    message = refusal(tmp_path / "weights.pth")
    assert "holds 'print' besides tensors, and reading that could run code" in message
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", ["empty", "garbage", "truncated"])
def test_a_damaged_file_is_refused(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / name
    state = network().state_dict()
    if name.endswith("pth"):
        torch.save(state, path)
    else:
        save_file(state, path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "garbage": b"garbage " * 9, "truncated": whole[:-99]}[content])
    assert str(path) in refusal(path)


@pytest.mark.parametrize("content", [{}, {"state_dict": 3}, {"epoch": 1}, [1, 2], {"model": {}}])
def test_a_file_without_a_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    assert "holds no state dict" in refusal(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["small_cnn", "bn_inception", "timm/test_resnet"])
def test_a_trunk_starts_from_a_local_file(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    source, _ = build_trunk(model, channels=3)
    save_file(source.state_dict(), tmp_path / "trunk.safetensors")
    local = model.model_copy(update={"weights": str(tmp_path / "trunk.safetensors")})
    assert weights_hash(build_trunk(local, channels=3)[0]) == weights_hash(source)


def test_the_hash_sees_values_names_types_and_buffers() -> None:
    torch.manual_seed(0)
    first = network()
    torch.manual_seed(0)
    second = network()
    assert weights_hash(first) == weights_hash(second)
    hashes = {weights_hash(first)}
    second.state_dict()["1.running_mean"].add_(1)
    hashes.add(weights_hash(second))
    hashes.add(weights_hash(first.to(torch.bfloat16)))
    hashes.add(weights_hash(nn.ModuleDict({"other": first})))
    assert len(hashes) == 4


class WithFunction(nn.Linear):
    def extra_repr(self) -> str:
        return repr(object())


def test_the_hash_minds_no_addresses_of_functions() -> None:
    first, second = WithFunction(2, 2), WithFunction(2, 2)
    second.load_state_dict(first.state_dict())
    assert weights_hash(first) == weights_hash(second)


def test_the_hash_minds_no_memory_format() -> None:
    module = network()
    before = weights_hash(module)
    assert weights_hash(module.to(memory_format=torch.channels_last)) == before
