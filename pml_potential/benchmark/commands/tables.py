"""The table of results on a terminal."""

from typing import Any

from rich import box
from rich.table import Table

from pml_potential.benchmark.report.formatting import interval, metric_names
from pml_potential.benchmark.report.results import embedding_kinds


def result_table(results: dict[str, Any]) -> Table:
    """Scores on the test classes: a row for each metric, a column for each kind of embeddings."""
    loss, data = results["config"]["loss"]["name"], results["data"]["name"]
    succeeded = sum("failure" not in result for result in results["reproductions"])
    table = Table(
        title=f"{loss} on the test classes of {data}: mean and 95% interval of {succeeded} of "
        f"{len(results['reproductions'])} reproductions",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        # Four columns of intervals just fit a terminal of 80 characters.
        show_edge=False,
        pad_edge=False,
        title_justify="left",
    )
    columns = {
        f"{state}\n{kind}": kinds[kind]
        for state, kinds in results["test"].items()
        for kind in embedding_kinds(results)
    }
    table.add_column("metric", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for metric, name in metric_names(results).items():
        table.add_row(name, *(interval(values[metric]) for values in columns.values()))
    return table
