import jinja2
import plotly.graph_objects as go
import pytest
from jinja2 import DictLoader, PackageLoader

from pml_potential.benchmark.report import page
from pml_potential.benchmark.report.page import PageFigure, render_page
from tests.benchmark.report.page_reader import Page, traces_of

CONTENT = "{% extends 'page.html.j2' %}{% block content %}<p>CONTENT</p>{% endblock %}"


def figure() -> go.Figure:
    drawn = go.Figure()
    drawn.add_scatter(x=[1, 2], y=[0.25, 0.5], name="<b>mine</b>")
    return drawn


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Templates beside those of the package."""
    own: dict[str, str] = {}

    def loader(*where: str) -> jinja2.BaseLoader:
        return jinja2.ChoiceLoader([DictLoader(own), PackageLoader(*where)])

    monkeypatch.setattr(page, "PackageLoader", loader)
    return own


def test_a_figure_brings_its_data_but_not_plotly() -> None:
    found = PageFigure.of("my-figure", figure())
    assert found.name == "my-figure"
    assert 'id="my-figure"' in found.html
    assert len(found.html) < 20_000
    assert "<html" not in found.html
    (trace,) = traces_of(found.html, "my-figure")
    assert (trace["x"], trace["y"]) == ([1, 2], [0.25, 0.5])


def test_a_page_has_all_that_its_figures_need(templates: dict[str, str]) -> None:
    plot = "{% import 'macros.html.j2' as macros %}{{ macros.plot(figure) }}"
    templates["mine"] = CONTENT.replace("<p>CONTENT</p>", plot)
    html = render_page("mine", figure=PageFigure.of("my-figure", figure()))
    shown = Page(html)
    assert shown.loads == []
    assert not {"link", "iframe", "img", "base"} & set(shown.tags)
    assert html.index("Plotly.register") < html.index(
        'Plotly.newPlot(                        "my-figure"'
    )
    assert html.count('data-plot="my-figure"') == 2


def test_text_is_escaped(templates: dict[str, str]) -> None:
    templates["mine"] = CONTENT.replace("CONTENT", "{{ name }} {{ name | breakable }}")
    shown = Page(render_page("mine", name="<script>+&amp;"))
    assert "<script>+&amp; <script>+&amp;" in shown.text
    assert shown.tags.count("script") == Page(render_page("mine", name="")).tags.count("script")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("61 | duration", "1 min 1 s"),
        ("{'mean': 0.5, 'half_width': 0.1} | interval", "0.5000 ± 0.1000"),
        ("0.5 | number", "0.5"),
        ("0.0001 | p_value", "< 0.001"),
        ("'0123456789abc' | short_commit", "0123456789"),
        ("0.5 | signed_interval(none, digits=1)", "+0.5"),
    ],
)
def test_numbers_are_written_as_in_tables(templates: dict[str, str], expression: str, text: str) -> None:
    templates["mine"] = CONTENT.replace("CONTENT", f"{{{{ {expression} }}}}")
    assert text in Page(render_page("mine")).text


def test_a_value_that_is_not_given_is_an_error(templates: dict[str, str]) -> None:
    templates["mine"] = CONTENT.replace("CONTENT", "{{ forgotten }}")
    with pytest.raises(jinja2.UndefinedError, match="'forgotten' is undefined"):
        render_page("mine")
