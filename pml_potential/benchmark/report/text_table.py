"""A table of text, for a page in Markdown or a paper in LaTeX."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "†": r"\textsuperscript{\dag}",
    }
)


@dataclass(frozen=True)
class TextTable:
    """A table.

    Attributes:
        columns: their headers.
        rows: a cell for each column.
        text_columns: how many of the first columns are words; the others are numbers.
        bold: row and column, from 0, of the cells that LaTeX prints bold.
    """

    columns: list[str]
    rows: list[list[str]]
    text_columns: int
    bold: frozenset[tuple[int, int]] = frozenset()

    def to_markdown(self) -> str:
        r"""The table in Markdown, without a line end.

        Examples:
            >>> print(TextTable(["loss", "MAP@R"], [["A|B", "0.5"]], text_columns=1).to_markdown())
            | loss | MAP@R |
            |---|---|
            | A\|B | 0.5 |
        """
        lines = [[in_markdown(cell) for cell in row] for row in (self.columns, *self.rows)]
        header, *rows = ["| " + " | ".join(cells) + " |" for cells in lines]
        return "\n".join([header, "|" + "---|" * len(self.columns), *rows])

    def to_latex(self, caption: str) -> str:
        r"""The table in LaTeX, without a line end; it needs the package booktabs.

        Examples:
            >>> table = TextTable(["loss", "MAP@R"], [["a_b", "0.5 ± 0.1"]], text_columns=1)
            >>> r"a\_b & 0.5 $\pm$ 0.1 \\" in table.to_latex("Scores.")
            True
        """
        lines = [[in_latex(cell) for cell in row] for row in (self.columns, *self.rows)]
        for row, column in self.bold:
            lines[row + 1][column] = rf"\textbf{{{lines[row + 1][column]}}}"
        header, *rows = [_unmistakable(" & ".join(cells)) + r" \\" for cells in lines]
        alignment = "l" * self.text_columns + "r" * (len(self.columns) - self.text_columns)
        return "\n".join(
            [
                r"\begin{table}[tbp]",
                r"\centering",
                rf"\caption{{{in_latex(caption)}}}",
                rf"\begin{{tabular}}{{{alignment}}}",
                r"\toprule",
                header,
                r"\midrule",
                *rows,
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
            ]
        )


def best_of_each(values: Sequence[Sequence[float | None]]) -> frozenset[tuple[int, int]]:
    """Row and column of the highest number of each column; of all in a tie.

    Args:
        values: a row of numbers for each row of the table; None: it does not compete.

    Examples:
        >>> sorted(best_of_each([[0.5, 0.2], [0.4, None], [0.5, 0.1]]))
        [(0, 0), (0, 1), (2, 0)]
    """
    found = set()
    for column, numbers in enumerate(zip(*values, strict=True)):
        highest = max((number for number in numbers if number is not None), default=None)
        if highest is not None:
            found |= {(row, column) for row, number in enumerate(numbers) if number == highest}
    return frozenset(found)


def in_markdown(text: str) -> str:
    r"""Text in a line of Markdown that is shown as it is.

    Examples:
        >>> print(in_markdown("A_b (runs/*[x](y)), p < 0.001"))
        A_b (runs/\*[x]\(y)), p < 0.001
    """
    # Inside a word, an underscore needs no escape.
    signs = r"[\\|*`~]|(?<!\w)_|_(?!\w)|(?<=\])\("
    escaped = re.sub(signs, r"\\\g<0>", re.sub(r"&(?=#?\w+;)", "&amp;", _in_a_line(text)))
    # Escape what could begin an HTML element; "< 0.001" does not.
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", escaped)


def in_latex(text: str) -> str:
    r"""Text in a line of LaTeX that is printed as it is.

    Examples:
        >>> print(in_latex("small_cnn, 50%"))
        small\_cnn, 50\%
    """
    return _in_a_line(text).translate(_LATEX)


def _in_a_line(text: str) -> str:
    return " ".join(text.encode(errors="backslashreplace").decode().split())


def _unmistakable(row: str) -> str:
    r"""A row of LaTeX that the ``\\`` before it does not take for its argument."""
    return f"{{}}{row}" if row.startswith(("[", "*")) else row
