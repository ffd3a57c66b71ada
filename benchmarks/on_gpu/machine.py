"""The machine of a measurement, as every result names it."""

import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

import pml_potential
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.report.environment import commit_of_checkout, describe_environment


@dataclass(frozen=True)
class Machine:
    """The machine of a measurement.

    Attributes:
        device: the one that computes.
        name: of the GPU, or of the processor where there is none.
        driver: version of the GPU's driver, None if unknown.
        commit: of the source.
    """

    device: torch.device
    name: str
    driver: str | None
    commit: str | None

    @property
    def has_gpu(self) -> bool:
        """Whether a GPU computes."""
        return self.device.type == "cuda"

    @property
    def file_name(self) -> str:
        """Its name as part of the name of a file.

        Examples:
            >>> Machine(torch.device("cuda"), "NVIDIA H100 80GB HBM3", None, None).file_name
            'nvidia-h100-80gb-hbm3'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def origin(self) -> dict[str, str | None]:
        """The origin of a result, as it is stored with it."""
        return {
            "gpu" if self.has_gpu else "processor": self.name,
            "driver": self.driver,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "commit": self.commit,
        }


def this_machine(commit: str | None = None) -> Machine:
    """The machine of this process.

    Args:
        commit: of the source, for a copy of it without git's folder.
    """
    device = training_device()
    told = commit_of_checkout(Path(pml_potential.__file__).parent)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = str(describe_environment()["processor"])
    return Machine(device, name, _driver() if device.type == "cuda" else None, told or commit)


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return next(iter(answer.split()), None)
