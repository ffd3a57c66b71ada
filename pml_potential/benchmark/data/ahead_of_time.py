"""Results for many numbers in order, a few of them computed ahead of time in threads."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Result = TypeVar("Result")


def ahead_of_time(compute: Callable[[int], Result], numbers: Iterable[int]) -> Iterator[Result]:
    """Call a function for each number, in threads: Pillow works without the interpreter's lock.

    Args:
        compute: the function; it is called at most 16 numbers for each processor ahead.
        numbers: its arguments.

    Yields:
        Its results, in the order of the numbers.

    Examples:
        >>> list(ahead_of_time(lambda number: number**2, range(4)))
        [0, 1, 4, 9]
    """
    left = iter(numbers)
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        while some := list(islice(left, 16 * threads)):
            yield from pool.map(compute, some)
