"""Numbers as a reader expects them."""

import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from pml_potential.benchmark.data.duration import duration as duration
from pml_potential.benchmark.evaluation import FURTHER_METRICS, METRICS

METRIC_NAMES = {name: metric.title for name, metric in METRICS.items()}
"""The metrics' printed names, in the order of the columns."""


def metric_names(results: dict[str, Any]) -> dict[str, str]:
    """Printed names of the metrics of a run: ``METRIC_NAMES``, and those that its protocol adds.

    Examples:
        >>> metric_names({"config": {"protocol": {"recall_at": [1]}}})["recall_at_1"]
        'R@1'
    """
    protocol = results["config"]["protocol"]
    further = {
        # One that a script has added is known only to that script.
        name: FURTHER_METRICS[name].title if name in FURTHER_METRICS else name
        for name in protocol.get("metrics", ())
    }
    recalls = {f"recall_at_{k}": f"R@{k}" for k in protocol.get("recall_at", ())}
    return METRIC_NAMES | further | recalls


def interval(value: dict[str, Any]) -> str:
    """Mean and half-width of an interval.

    Examples:
        >>> interval({"mean": 0.71236, "half_width": 0.0101})
        '0.7124 ± 0.0101'
        >>> interval({"mean": 0.71236, "half_width": None})
        '0.7124'
    """
    mean, half_width = value["mean"], value["half_width"]
    return f"{mean:.4f}" if half_width is None else f"{mean:.4f} ± {half_width:.4f}"


def whole_intervals(text: str) -> str:
    r"""A sentence in which no line breaks at ±.

    Examples:
        >>> whole_intervals("0.5 ± 0.1 is").split(" ")
        ['0.5\xa0±\xa00.1', 'is']
    """
    return re.sub(r" ?± ?", lambda sign: sign[0].replace(" ", "\u00a0"), text)


def number(value: Any) -> str:
    """A hyperparameter with the digits that matter.

    Examples:
        >>> number(0.000123456), number(7), number(None)
        ('0.0001235', '7', '–')
    """
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def signed_interval(value: float | None, limits: tuple[float, float] | None, digits: int = 4) -> str:
    """A difference with its sign and the limits of its interval.

    Examples:
        >>> signed_interval(0.01234, (-0.001, 0.0256)), signed_interval(0.5, None, digits=2)
        ('+0.0123 [−0.0010, +0.0256]', '+0.50')
        >>> signed_interval(None, None)
        '–'
    """
    if value is None:
        return "–"
    shown = [f"{each:+.{digits}f}" for each in (value, *(limits or ()))]
    text = shown[0] if limits is None else f"{shown[0]} [{shown[1]}, {shown[2]}]"
    return text.replace("-", "−")


def p_value(value: float | None) -> str:
    """A p-value as papers print it.

    Examples:
        >>> p_value(0.0321), p_value(0.00002), p_value(None)
        ('0.032', '< 0.001', '–')
    """
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def short_commit(commit: str | None) -> str:
    """A commit by its first digits, and whether it was changed.

    Examples:
        >>> short_commit("a4c7b11157258bcf1d4f4c88cc2ab6ce75a84095-dirty"), short_commit(None)
        ('a4c7b11157-dirty', 'unknown')
    """
    digits, dash, rest = (commit or "unknown").partition("-")
    return f"{digits[:10]}{dash}{rest}"


def breakable(name: str) -> Markup:
    """A name as HTML that may be broken after its signs and between its words.

    Examples:
        >>> print(breakable("A+B<"), breakable("loss.params.alpha"), breakable("ArcFaceLoss"))
        A+<wbr>B&lt; loss.<wbr>params.<wbr>alpha Arc<wbr>Face<wbr>Loss
    """
    parts = re.split(r"(?<=[+._/-])(?=.)|(?<=[a-z])(?=[A-Z])", name)
    return Markup("<wbr>").join(escape(part) for part in parts)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, at least one.

    Examples:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
