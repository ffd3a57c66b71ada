"""The kernels compiled for GPUs that are not there, and their arithmetic in Triton's interpreter."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, no_type_check

import pytest
import torch

from pml_potential.fields import gpu_field
from pml_potential.fields.potentials import Contrastive, Logarithmic, Potential, PowerLaw
from tests.fields.field_cases import random_points

triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")
gpu_kernels = pytest.importorskip("pml_potential.fields.gpu_kernels")

ROOT = Path(__file__).parents[2]
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
TYPES = {
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.int16: "*i16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    int: "i32",
    float: "fp32",
}
KERNELS = ["hit_kernel", "energy_kernel", "total_kernel", "gradient_kernel"]

compiles = pytest.mark.skipif(
    INTERPRETED or tuple(map(int, triton.__version__.split(".")[:2])) < (3, 5),
    reason="compiles as Triton 3.5 and later do, without the interpreter",
)


Launch = tuple[str, tuple[Any, ...], dict[str, Any]]


def launches(
    monkeypatch: pytest.MonkeyPatch,
    architecture: int,
    dtype: torch.dtype,
    potential: Potential,
    count: int = 1000,
    width: int = 512,
) -> list[Launch]:
    """Name, arguments and options of all that a field launches on a GPU."""
    recorded: list[Launch] = []

    def record(name: str, _: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        recorded.append((name, arguments, options))

    monkeypatch.setattr(gpu_field, "_launch", record)
    monkeypatch.setattr(gpu_field, "_capability", lambda _: divmod(architecture, 10))
    points, labels = random_points(count, width, dtype=dtype), torch.arange(count) % 7
    _, prepared, _ = gpu_field.energies(points, labels, potential, count)
    gpu_field.gradient(prepared, potential, torch.ones(count, dtype=dtype))
    return recorded


def compiled(launch: Launch, architecture: int) -> Any:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    name, arguments, options = launch
    kernel = getattr(gpu_kernels, name)
    names = [parameter.name for parameter in kernel.params]
    signature = dict.fromkeys(names, "constexpr")
    constants, aligned = {}, {}
    for place, (parameter, value) in enumerate(zip(names, arguments, strict=False)):
        if isinstance(value, int) and value == 1:
            # As the launch does, which makes a constant of it.
            constants[(place,)] = 1
            continue
        signature[parameter] = TYPES[value.dtype if isinstance(value, torch.Tensor) else type(value)]
        if isinstance(value, torch.Tensor) or (isinstance(value, int) and value % 16 == 0):
            aligned[(place,)] = [["tt.divisibility", 16]]
    for option in [option for option in options if option in names]:
        constants[(names.index(option),)] = options.pop(option)
    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)


def bytes_of_spilled_registers(binary: bytes, folder: Path) -> int:
    (folder / "kernel.cubin").write_bytes(binary)
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    command = [str(tool), "-res-usage", str(folder / "kernel.cubin")]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"STACK:(\d+) .*LOCAL:(\d+)", usage)
    assert found is not None, usage
    return sum(map(int, found.groups()))


@compiles
@pytest.mark.parametrize(
    ("architecture", "dtype", "potential"),
    [
        (80, torch.float64, Logarithmic(0.5, 0.8)),
        (90, torch.float32, PowerLaw(0.5, 0.8, 2.0)),
        (100, torch.float32, Contrastive(0.5, 0.8)),
        (120, torch.float64, PowerLaw(0.5, 0.8, 2.0)),
    ],
    ids=str,
)
def test_kernels_compile_and_spill_no_registers(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    architecture: int,
    dtype: torch.dtype,
    potential: Potential,
) -> None:
    recorded = launches(monkeypatch, architecture, dtype, potential)
    assert [name for name, _, _ in recorded] == KERNELS
    for launch in recorded:
        kernel = compiled(launch, architecture)
        assert bytes_of_spilled_registers(kernel.asm["cubin"], tmp_path) == 0, launch[0]
        # No more than this fits into every GPU's shared memory.
        assert kernel.metadata.shared <= 99 * 2**10, launch[0]


@compiles
def test_kernels_compile_for_one_point_of_one_coordinate(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = launches(monkeypatch, 90, torch.float32, Contrastive(0.5, 0.8), count=1, width=1)
    assert [name for name, _, _ in recorded] == KERNELS
    for launch in recorded:
        assert compiled(launch, 90).asm["cubin"]


@pytest.mark.skipif(INTERPRETED, reason="is about the process that interprets")
def test_arithmetic_in_the_interpreter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", __file__],
        capture_output=True,
        text=True,
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTEST_ADDOPTS": ""},
        cwd=ROOT,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.M), done.stdout


DEVICE = "cpu" if INTERPRETED else "cuda"
runs_kernels = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs a GPU or TRITON_INTERPRET=1"
)


@triton.jit
@no_type_check
def squares_kernel(rows, columns, numbers, count: tl.constexpr):
    spots = tl.arange(0, count)
    row, column = gpu_kernels._square_of_triangle(tl.load(numbers + spots))
    tl.store(rows + spots, row)
    tl.store(columns + spots, column)


@runs_kernels
def test_squares_of_a_triangle_are_numbered_column_after_column() -> None:
    most = gpu_field.MOST_POINTS // (gpu_field._TILE * gpu_field._GROUP)
    columns = torch.arange(most)
    first = columns * (columns + 1) // 2
    numbers = torch.cat([first, first + columns // 2, first + columns]).int().to(DEVICE)
    rows = torch.cat([0 * columns, columns // 2, columns]).int()
    padded = torch.nn.functional.pad(numbers, (0, 2**15 - len(numbers)))
    found = torch.full((2, 2**15), -1, dtype=torch.int32, device=DEVICE)
    squares_kernel[(1,)](found[0], found[1], padded, 2**15)
    assert found[0, : len(rows)].cpu().equal(rows)
    assert found[1, : len(rows)].cpu().equal(columns.repeat(3).int())


@triton.jit
@no_type_check
def laws_kernel(found, squared, parameters, law: tl.constexpr, count: tl.constexpr):
    spots = tl.arange(0, count)
    distances = tl.load(squared + spots)
    value, slope = gpu_kernels._attraction(distances, parameters, law)
    tl.store(found + spots, value)
    tl.store(found + count + spots, slope)
    value, slope = gpu_kernels._repulsion(distances, parameters, law)
    tl.store(found + 2 * count + spots, value)
    tl.store(found + 3 * count + spots, slope)


@runs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "potential",
    [
        PowerLaw(0.1, 0.3, 8.0),
        PowerLaw(0.3, 0.1, 0.5, core_radius=0.2),
        Logarithmic(0.3, 0.2),
        Logarithmic(0.2, 0.3, core_radius=0.25),
        Contrastive(0.2, 0.3),
    ],
    ids=repr,
)
def test_laws_are_those_of_the_potentials(potential: Potential, dtype: torch.dtype) -> None:
    near = torch.linspace(-14, 1, 249, dtype=torch.float64).exp().square()
    squared = torch.cat([torch.tensor([0, 1e-30, 1e-20, 1e-8, 1e-4, 1, 4]), near]).to(DEVICE, dtype)
    found = torch.empty(4, 256, dtype=dtype, device=DEVICE)
    parameters = gpu_field._parameters(potential, squared.device)
    laws_kernel[(1,)](found, squared, parameters, gpu_field._law(potential), 256)
    expected = torch.stack([*potential.attraction(squared), *potential.repulsion(squared)])
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert (found == 0).equal(expected == 0)
