"""Lengths of time in words."""


def duration(seconds: float) -> str:
    """A length of time in words, by its two largest units.

    Examples:
        >>> duration(12.4), duration(125), duration(4810), duration(7200)
        ('12 s', '2 min 5 s', '1 h 20 min', '2 h')
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min")] if hours else [(minutes, "min"), (rest, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
