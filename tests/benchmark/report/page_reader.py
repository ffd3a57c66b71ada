"""What a browser makes of a page."""

import json
import re
from html.parser import HTMLParser
from typing import Any

LOADING_ATTRIBUTES = {"src", "href", "srcset", "data", "poster", "action", "background"}


class Page(HTMLParser):
    """What a browser sees: elements, what they would load, and the text outside of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self._inside = ""
        # Names are shown as without the places where they may be broken.
        self.feed(html.replace("<wbr>", "").replace("&shy;", ""))
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        self.loads += [value or "" for name, value in attrs if name in LOADING_ATTRIBUTES]
        self.styles += [value or "" for name, value in attrs if name == "style"]

    def handle_endtag(self, _tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.styles.append(data)
        elif self._inside != "script":
            self.text += f" {data}"


def traces_of(html: str, name: str) -> list[dict[str, Any]]:
    """What a page tells Plotly to draw."""
    _, _, after = html.partition(f'Plotly.newPlot(                        "{name}",')
    traces, _ = json.JSONDecoder().raw_decode(after.lstrip())
    assert isinstance(traces, list)
    return traces
