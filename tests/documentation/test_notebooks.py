"""Tutorials are committed as they were executed, and pages are made of their text, code and output."""

import base64
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from documentation.notebooks import (
    NOTEBOOKS,
    TUTORIALS,
    executed,
    fingerprint,
    notebook_page,
    pictures_of,
    read_notebook,
)

PICTURE = b"bytes of a picture"
OWN_PATHS = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|work|Users|opt)/")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def codes(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A notebook with an output of each kind."""
    shown = {"image/png": base64.b64encode(PICTURE).decode()}
    table = {"text/markdown": "| a |\n|---|", "text/plain": "<Markdown object>"}
    cells = [
        new_markdown_cell("# Title\n\nWhat it is."),
        new_code_cell("print(1)", outputs=[new_output("stream", text="1\n")]),
        new_code_cell("%%bash\nls", outputs=[]),
        new_markdown_cell("Between."),
        new_code_cell("1 + 1", outputs=[new_output("execute_result", {"text/plain": "2"})]),
        new_code_cell("draw()", metadata={"alt": "A line"}, outputs=[new_output("display_data", shown)]),
        new_code_cell("show()", outputs=[new_output("display_data", table)]),
    ]
    path = tmp_path / "example.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_there_are_the_three_tutorials() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["field_map", "swap_losses", "your_images"]


@each_notebook
def test_every_cell_was_executed_once_and_in_order(path: Path) -> None:
    counts = [cell.execution_count for cell in codes(read_notebook(path))]
    assert counts == list(range(1, len(counts) + 1)), "run `python -m documentation.notebooks`"


@each_notebook
def test_the_code_is_the_one_that_was_executed(path: Path) -> None:
    notebook = read_notebook(path)
    assert notebook.metadata.executed == fingerprint(notebook), "run `python -m documentation.notebooks`"


@each_notebook
def test_output_has_neither_errors_nor_paths_of_a_machine(path: Path) -> None:
    outputs = [output for cell in codes(read_notebook(path)) for output in cell.outputs]
    assert [each for each in outputs if each.output_type == "error"] == []
    assert [each.text for each in outputs if each.get("name") == "stderr"] == []
    texts = [each.get("text", "") + each.get("data", {}).get("text/plain", "") for each in outputs]
    assert [text for text in texts if OWN_PATHS.search(text) or "\x1b" in text] == []


@each_notebook
def test_a_tutorial_stays_small(path: Path) -> None:
    assert path.stat().st_size < 500_000


def test_a_page_shows_text_code_and_output(written: Path) -> None:
    _, _, rest = notebook_page(written).partition("[Download this notebook](example.ipynb){ download }")
    blocks = [
        "```python\nprint(1)\n```",
        "```text\n1\n```",
        "```bash\nls\n```",
        "Between.",
        "```python\n1 + 1\n```",
        "```text\n2\n```",
        "```python\ndraw()\n```",
        "![A line](example_1.png)",
        "```python\nshow()\n```",
        "| a |\n|---|",
    ]
    assert rest.endswith("\n\n" + "\n\n".join(blocks) + "\n")


def test_pictures_are_files_beside_the_page(written: Path) -> None:
    assert pictures_of(written) == {written.with_name("example_1.png"): PICTURE}


def test_code_that_changed_after_its_execution_is_told() -> None:
    notebook = read_notebook(TUTORIALS / "field_map.ipynb")
    codes(notebook)[0].source += "\nprint(1)"
    assert notebook.metadata.executed != fingerprint(notebook)


def test_a_notebook_runs_in_its_folder_and_remembers_its_code(tmp_path: Path) -> None:
    code = "from pathlib import Path\nPath('here').touch()\nprint('a')"
    notebook = executed(new_notebook(cells=[new_code_cell(code), new_code_cell("%%bash\nls")]), tmp_path)
    assert [cell.outputs[0].text for cell in notebook.cells] == ["a\n", "here\n"]
    assert notebook.metadata.executed == fingerprint(notebook)


@pytest.mark.parametrize("code", ["1 / 0", "%%bash\nfalse"])
def test_a_cell_that_fails_is_an_error(code: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"ZeroDivisionError|CalledProcessError"):
        executed(new_notebook(cells=[new_code_cell(code)]), tmp_path)
