"""What the documentation says is what the code does and what committed results hold."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import proxy_start, proxy_start_pretrained
from pml_potential.benchmark.report.markdown import result_table

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("code", CODE)
def test_python_code_on_a_page_runs(code: str) -> None:
    exec(compile(code, "page", "exec"), {})


def test_readme_shows_the_committed_result() -> None:
    results = json.loads((ROOT / "docs" / "results" / "quick.json").read_text())
    assert result_table(results) in (ROOT / "README.md").read_text()


def test_committed_result_gains_what_the_readme_promises() -> None:
    test = json.loads((ROOT / "docs" / "results" / "quick.json").read_text())["test"]
    trained, untrained = (
        test[state]["separated"]["mean_average_precision_at_r"]["mean"]
        for state in ("trained", "untrained")
    )
    assert trained - untrained > 0.25


def test_page_on_the_start_of_proxies_is_made_from_its_results() -> None:
    results = [
        json.loads(module.RESULTS.read_text()) for module in (proxy_start, proxy_start_pretrained)
    ]
    assert proxy_start.page(*results) == proxy_start.PAGE.read_text()


def test_readme_has_the_lines_that_set_up_a_fresh_machine() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert '    pip install -e ".[benchmark]" && pml-potential run quick' in lines
    assert '    pip install -e ".[dev]" && pytest' in lines
