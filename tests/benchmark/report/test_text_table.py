import re

import pytest

from pml_potential.benchmark.report.text_table import TextTable, best_of_each

TABLE = TextTable(
    ["loss", "embeddings", "MAP@R"],
    [["A", "separated", "0.5 ± 0.1"], ["B", "concatenated", "−0.2"]],
    text_columns=2,
)


def test_markdown_has_a_line_for_each_row() -> None:
    assert TABLE.to_markdown().splitlines() == [
        "| loss | embeddings | MAP@R |",
        "|---|---|---|",
        "| A | separated | 0.5 ± 0.1 |",
        "| B | concatenated | −0.2 |",
    ]


@pytest.mark.parametrize(
    ("cell", "markdown"),
    [
        ("a|b", r"a\|b"),
        ("a\\b", r"a\\b"),
        ("<script>", "&lt;script>"),
        ("</b>", "&lt;/b>"),
        ("<!-- x", "&lt;!-- x"),
        ("< 0.001", "< 0.001"),
        ("two\nlines\tof", "two lines of"),
        ("*a* ~b~ `c`", r"\*a\* \~b\~ \`c\`"),
        ("a_b _c_", r"a_b \_c\_"),
        ("[a](b) [0, 1]", r"[a]\(b) [0, 1]"),
        ("a&lt;b & c", "a&amp;lt;b & c"),
        ("caf\udce9", r"caf\\udce9"),
    ],
)
def test_no_cell_of_markdown_ends_early_or_begins_an_element(cell: str, markdown: str) -> None:
    header, _, row = TextTable([cell], [[cell]], text_columns=1).to_markdown().splitlines()
    assert header == row == f"| {markdown} |"


def test_latex_has_words_to_the_left_and_numbers_to_the_right() -> None:
    lines = TABLE.to_latex("Scores of 5%.").splitlines()
    assert lines[:5] == [
        r"\begin{table}[tbp]",
        r"\centering",
        r"\caption{Scores of 5\%.}",
        r"\begin{tabular}{llr}",
        r"\toprule",
    ]
    assert r"A & separated & 0.5 $\pm$ 0.1 \\" in lines
    assert r"B & concatenated & $-$0.2 \\" in lines
    assert lines[-3:] == [r"\bottomrule", r"\end{tabular}", r"\end{table}"]


@pytest.mark.parametrize(
    ("cell", "latex"),
    [
        ("a_b & 5% of #1 {x} $", r"a\_b \& 5\% of \#1 \{x\} \$"),
        ("\\~^", r"\textbackslash{}\textasciitilde{}\textasciicircum{}"),
        ("< 0.001 | >", r"\textless{} 0.001 \textbar{} \textgreater{}"),
        ("–", "--"),
        ("two\nlines", "two lines"),
        ("[a] starts", "{}[a] starts"),
        ("caf\udce9", r"caf\textbackslash{}udce9"),
    ],
)
def test_latex_prints_every_sign_as_it_is(cell: str, latex: str) -> None:
    table = TextTable([cell], [[cell]], text_columns=1).to_latex(cell)
    assert rf"\caption{{{latex.removeprefix('{}')}}}" in table
    assert re.findall(r"^(.*) \\\\$", table, re.MULTILINE) == [latex, latex]


def test_bold_cells_and_daggers_are_set_in_latex_alone() -> None:
    table = TextTable(["loss", "P@1"], [["A", "0.5†"], ["B", "0.4"]], 1, frozenset({(0, 1)}))
    latex = table.to_latex("†: p < 0.05")
    assert r"A & \textbf{0.5\textsuperscript{\dag}} \\" in latex
    assert r"B & 0.4 \\" in latex
    assert latex.isascii()
    assert "| A | 0.5† |" in table.to_markdown()


def test_the_best_of_a_column_may_be_several_or_none() -> None:
    assert best_of_each([[0.1, None], [0.3, None], [0.3, None]]) == {(1, 0), (2, 0)}
    assert best_of_each([]) == frozenset()
