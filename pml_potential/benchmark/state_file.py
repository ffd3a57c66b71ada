"""Tensors in a file that tells when it is damaged."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from pml_potential.benchmark.records import write_bytes


class DamagedFileError(OSError):
    """A file does not hold what was written to it."""


def write_state(path: Path, state: Any) -> None:
    """Write what ``torch.load`` reads back, whole or not at all, and behind it a SHA-256 of it.

    Args:
        path: of the file.
        state: tensors, numbers and text, in dictionaries and lists.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    write_bytes(path, content, hashlib.sha256(content).digest())


def read_state(path: Path) -> Any:
    """Read what ``write_state`` wrote, into the processor's memory.

    Raises:
        DamagedFileError: The file was cut off, or a byte of it is another one.
    """
    written = memoryview(path.read_bytes())
    length = len(written) - hashlib.sha256().digest_size
    content = written[: max(length, 0)]
    # Torch's reader checks no checksums: a flipped bit in a weight would go unseen.
    if hashlib.sha256(content).digest() != written[len(content) :]:
        raise DamagedFileError(f"{path} is damaged: its SHA-256 does not fit")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
