"""How a loss looks in every figure of the studies: ours in colours, the others grey."""

from typing import Any

OURS = {
    "potential_field": "#D55E00",
    "cpml": "#0072B2",
    "mean_field_contrastive": "#CC79A7",
    "mean_field_class_wise_multi_similarity": "#882255",
    "class_wise_multi_similarity": "#009E73",
}
"""Colours of this package's losses, which readers with weak colour vision can tell apart."""

OTHERS = {
    "proxy_anchor": ("#555555", "-", "s"),
    "multi_similarity": ("#555555", "--", "^"),
    "soft_triple": ("#555555", ":", "D"),
    "normalized_softmax": ("#999999", "-", "v"),
    "contrastive": ("#999999", "--", "P"),
}
"""Greys, dashes and markers of PML's losses."""


def look(preset: str) -> dict[str, Any]:
    """Keyword arguments of matplotlib for a loss, by its preset; a variant of a preset is dashed.

    Examples:
        >>> look("potential_field")["color"] == look("potential_field_frozen")["color"]
        True
    """
    if preset in OTHERS:
        color, dashes, marker = OTHERS[preset]
        return {"color": color, "linestyle": dashes, "marker": marker, "linewidth": 1.0}
    base = max((name for name in OURS if preset.startswith(name)), key=len)
    dashes = "-" if preset == base else "--"
    width = 2.2 if base == "potential_field" else 1.4
    return {"color": OURS[base], "linestyle": dashes, "marker": "o", "linewidth": width}
