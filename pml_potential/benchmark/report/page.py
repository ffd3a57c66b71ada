"""Self-contained HTML pages, for the report of a run and the comparison of runs."""

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from pml_potential.benchmark.report.formatting import (
    breakable,
    duration,
    interval,
    number,
    p_value,
    short_commit,
    signed_interval,
    whole_intervals,
)


@dataclass(frozen=True)
class PageFigure:
    """A figure as it goes into a page.

    Attributes:
        name: of its element, unique on the page, and of the file that it is saved in.
        html: draws it.
    """

    name: str
    html: str

    @classmethod
    def of(cls, name: str, figure: Figure) -> "PageFigure":
        """Turn a figure into HTML that needs the page's Plotly."""
        html = figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=name,
            config={"displayModeBar": False, "responsive": True},
        )
        return cls(name, html)


def render_page(template: str, **values: Any) -> str:
    """Fill a template of this folder; text is escaped.

    Args:
        template: its name.
        values: what it shows.

    Returns:
        HTML that loads nothing: Plotly, styles and scripts are inside.
    """
    environment = Environment(
        loader=PackageLoader("pml_potential.benchmark.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        breakable,
        duration,
        interval,
        number,
        p_value,
        short_commit,
        signed_interval,
        whole_intervals,
    )
    environment.filters.update({each.__name__: each for each in filters})
    return environment.get_template(template).render(plotly=get_plotlyjs(), **values)
