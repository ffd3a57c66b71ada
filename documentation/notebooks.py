"""Executes the tutorials: ``python -m documentation.notebooks NAME``; without a name all of them.

A tutorial is a notebook in ``docs/tutorials``, committed with its output. Its page is made from it.
"""

import base64
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from documentation.small_picture import shrink
from pml_potential.benchmark.files import write_text

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))
SECONDS_PER_CELL = 600
_PNG = "image/png"
_DOWNLOAD = """\
[Download this notebook]({name}.ipynb){{ download }}. It needs `pip install -e ".[benchmark]"` from a
checkout, no GPU, and a minute or two.
"""


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook and check its format."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def executed(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells of a notebook in a fresh process.

    Args:
        notebook: what to run; its cells get their output.
        folder: where it runs, and where it may write.

    Raises:
        CellExecutionError: A cell failed.
    """
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "IPYTHONDIR": str(folder / ".ipython"),
        # Finished progress bars say nothing, and warnings of libraries name paths of this machine.
        "TQDM_DISABLE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment)
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "executed": fingerprint(notebook),
    }
    return notebook


def fingerprint(notebook: NotebookNode) -> str:
    """The hash of all code of a notebook, which is recorded when it is executed."""
    codes = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\n\n".join(codes).encode()).hexdigest()


def notebook_page(path: Path) -> str:
    """Write the page of a tutorial: its text, its code and its output."""
    title, *cells = read_notebook(path).cells
    parts = [title.source, _DOWNLOAD.format(name=path.stem)]
    numbers = iter(range(1, len(cells) + 1))
    for cell in cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            parts.append(_code(cell.source))
            parts += [_output(each, cell, path.stem, numbers) for each in cell.outputs]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def pictures_of(path: Path) -> dict[Path, bytes]:
    """The pictures that the page of a tutorial shows, by their files."""
    outputs = [each for cell in read_notebook(path).cells for each in cell.get("outputs", [])]
    pictures = [each.data[_PNG] for each in outputs if _PNG in each.get("data", {})]
    return {
        path.with_name(_picture_name(path.stem, number)): base64.b64decode(picture)
        for number, picture in enumerate(pictures, 1)
    }


def _picture_name(stem: str, number: int) -> str:
    return f"{stem}_{number}.png"


def _code(source: str) -> str:
    magic, _, rest = source.partition("\n")
    return f"```bash\n{rest}\n```" if magic == "%%bash" else f"```python\n{source}\n```"


def _output(output: NotebookNode, cell: NotebookNode, stem: str, numbers: Iterator[int]) -> str:
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    if _PNG in output.data:
        return f"![{cell.metadata['alt']}]({_picture_name(stem, next(numbers))})"
    if "text/markdown" in output.data:
        return str(output.data["text/markdown"])
    return f"```text\n{output.data['text/plain']}\n```"


def _small(notebook: NotebookNode) -> None:
    """Shrink the pictures of a notebook, and drop the names of figures in memory."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        for output in [each for cell in notebook.cells for each in cell.get("outputs", [])]:
            if _PNG in output.get("data", {}):
                picture.write_bytes(base64.b64decode(output.data[_PNG]))
                shrink(picture)
                output.data = {_PNG: base64.b64encode(picture.read_bytes()).decode()}


if __name__ == "__main__":
    for each in [TUTORIALS / f"{name}.ipynb" for name in sys.argv[1:]] or NOTEBOOKS:
        with tempfile.TemporaryDirectory() as scratch:
            ran = executed(read_notebook(each), Path(scratch))
        _small(ran)
        write_text(each, nbformat.writes(ran) + "\n")
