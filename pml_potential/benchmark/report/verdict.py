"""What a run shows, in a few sentences, and what would make it more reliable."""

from math import log
from typing import Any

from scipy.stats import t as student_t

from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.formatting import interval, listed, metric_names, number
from pml_potential.benchmark.report.pairwise_tests import pairwise_differences

_TRIALS, _REPRODUCTIONS = 50, 10
"""Of "A Metric Learning Reality Check", whose protocol is ``mlrc``."""

_EDGE = 0.02
"""Share of a search range, at either end, in which the best value counts as being at its edge."""


def verdict(results: dict[str, Any]) -> list[str]:
    """Two sentences: the test score against untrained models, and against published figures.

    Args:
        results: from ``collect_results`` or ``results.json``.
    """
    return [_against_untrained(results), _against_published(results)]


def best_hyperparameters(results: dict[str, Any]) -> str:
    """The values that the search chose, or that there was no search."""
    params = results["best"]["params"]
    if not params:
        return "Nothing was searched: the configuration's own values were used."
    chosen = ", ".join(f"{path} {number(value)}" for path, value in params.items())
    return f"Best hyperparameters (trial {results['best']['trial'] + 1}): {chosen}."


def why_validation_differs(results: dict[str, Any]) -> str | None:
    """Why the best trial's validation score does not predict the test score; None with one fold."""
    found = results["best"]["validation_map_at_r"]
    if found is None or not results["test"] or results["config"]["protocol"]["folds"] == 1:
        return None
    tested = _scores(results, "trained")["mean"]
    parts = results["data"]["classes_by_part"]
    counts = sorted({count for part, count in parts.items() if part.endswith("validation")})
    told = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    sets = f"each validation set has {told} classes and the test set {parts['test']}"
    if counts[-1] < parts["test"]:
        why = f"{sets}, and among fewer classes a query finds its own more easily"
    elif counts[0] > parts["test"]:
        why = f"{sets}, and among more classes a query finds its own less easily"
    else:
        why = f"{sets}, and they are different classes"
    text = f"Validation MAP@R {found:.4f} and test MAP@R {tested:.4f} are not comparable: {why}."
    trials = sum(trial["validation_map_at_r"] is not None for trial in results["trials"])
    if trials > 1:
        text += f" The validation score is also the best of {trials} trials, so it is optimistic."
    return text


def what_would_help(results: dict[str, Any]) -> str:
    """One sentence: what this run lacks for a reliable result, the most important first."""
    wanted = [
        *_more_reproductions(results),
        *_protocol(results),
        *_more_trials(results),
        *_longer_training(results),
        *_wider_ranges(results),
    ]
    if not wanted:
        return (
            "This run has the trials and reproductions of the mlrc protocol; a second data set would "
            "show whether the result holds elsewhere."
        )
    return f"To trust it more: {'; '.join(wanted)}."


def _scores(results: dict[str, Any], state: str) -> dict[str, Any]:
    found: dict[str, Any] = results["test"][state]["separated"][PRIMARY_METRIC]
    return found


def _against_untrained(results: dict[str, Any]) -> str:
    loss = results["config"]["loss"]["name"]
    if not results["test"]:
        return f"{loss} has no test score: no reproduction succeeded."
    trained, untrained = _scores(results, "trained"), _scores(results, "untrained")
    count = len(trained["values"])
    trials = len(results["trials"])
    best = f"The best of {trials} settings of {loss}" if results["best"]["params"] else loss
    text = f"{best} reaches a test MAP@R of {interval(trained)}, against {interval(untrained)} untrained"
    if count == 1:
        return f"{text} (one reproduction, so no interval)."
    groups = {"trained": trained["values"], "untrained": untrained["values"]}
    (found,) = pairwise_differences(groups)
    tested = {
        True: "the gain is more than chance",
        False: "the test does not tell the two apart",
    }[found.is_significant]
    if found.is_significant and found.first == "untrained":
        tested = "training made it worse"
    if found.p is None:
        tested = "neither varies"
    return f"{text} (95% intervals, n = {count} reproductions; {tested})."


def _against_published(results: dict[str, Any]) -> str:
    published = results["published"]
    data, protocol = results["data"]["name"], results["config"]["protocol"]["name"]
    if published is None:
        return f"No published figure is comparable: there is none for {data} under protocol {protocol}."
    metric = published["metrics"][0]
    name = metric_names(results).get(metric, metric)
    if published["part"] == "validation":
        mine = results["best"]["validation_map_at_r"]
    else:
        mine = results["test"]["trained"]["separated"][metric]["mean"] if results["test"] else None
    rows = [row for row in published["rows"] if row["values"][metric] is not None]
    if mine is None or not rows:
        return f"It has no score to compare with the figures {published['source']}."
    best = max(rows, key=lambda row: float(row["values"][metric]))
    above = sum(mine > row["values"][metric] for row in rows)
    text = (
        f"Its {published['part']} {name} of {mine:.4f} is above {above} of {len(rows)} published "
        f"figures, of which the highest is {best['method']}'s {number(best['values'][metric])}"
    )
    if differing := len(published["deviations"]):
        settings = "a setting" if differing == 1 else f"{differing} settings"
        return f"{text}; this run differs from theirs in {settings}, listed below, so take it as a hint."
    return f"{text}."


def _more_reproductions(results: dict[str, Any]) -> list[str]:
    tried = len(results["reproductions"])
    failed = sum("failure" in each for each in results["reproductions"])
    found = [f"{failed} of {tried} reproductions failed and should be repaired"] if failed else []
    if (missing := _REPRODUCTIONS - tried) <= 0:
        return found
    more = f"{missing} more reproduction{'s' if missing > 1 else ''}"
    text = f"{more} ({tried} here, {_REPRODUCTIONS} in mlrc"
    deviation = _scores(results, "trained")["deviation"] if results["test"] else None
    if deviation:
        width = float(student_t.ppf(0.975, _REPRODUCTIONS - 1)) * deviation / _REPRODUCTIONS**0.5
        half_width = _scores(results, "trained")["half_width"]
        text += f", which would narrow ± {half_width:.4f} to about ± {width:.4f}"
    return [*found, f"{text})"]


def _protocol(results: dict[str, Any]) -> list[str]:
    if results["config"]["protocol"]["folds"] == 1:
        return ["protocol mlrc, which does not choose the epoch on the test set"]
    return []


def _more_trials(results: dict[str, Any]) -> list[str]:
    if not results["config"]["protocol"].get("study"):
        return [f"a search of its hyperparameters ({_TRIALS} trials in mlrc)"]
    if (missing := _TRIALS - len(results["trials"])) <= 0:
        return []
    return [f"{missing} more trial{'s' if missing > 1 else ''} ({len(results['trials'])} here)"]


def _longer_training(results: dict[str, Any]) -> list[str]:
    folds = [fold for each in results["reproductions"] for fold in each["folds"]]
    most = results["config"]["protocol"].get("max_epochs")
    at_the_end = sum(fold["best_epoch"] == most for fold in folds)
    if 2 * at_the_end < len(folds) or not folds:
        return []
    return [f"longer training ({at_the_end} of {len(folds)} models were best in the last epoch, {most})"]


def _wider_ranges(results: dict[str, Any]) -> list[str]:
    search = results["config"]["search"]
    chosen = results["best"]["params"]
    at_edge = [
        path for path, value in chosen.items() if path in search and _is_at_edge(value, search[path])
    ]
    if not at_edge:
        return []
    told = f"the best value of {listed(at_edge)} is at the edge of its range"
    return [f"wider search ranges ({told})"]


def _is_at_edge(value: Any, searched: dict[str, Any]) -> bool:
    low, high = searched.get("low"), searched.get("high")
    if searched.get("choices") or low is None or high is None or not low < high:
        return False
    place = (value - low) / (high - low)
    if searched.get("log"):
        place = log(value / low) / log(high / low)
    return not _EDGE < place < 1 - _EDGE
