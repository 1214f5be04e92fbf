"""Which requests of a dynamic batch can be run together, and where to cut their answer."""

from __future__ import annotations

from itertools import accumulate


def compatible_groups(arrays):
    """Groups the positions of requests whose inputs agree in all but the first dimension.

    Args:
        arrays: for each request, its input arrays by name; the first dimension is the batch.

    Returns:
        Lists of positions, in the order of their first member.
    """
    groups = {}
    for position, inputs in enumerate(arrays):
        # The rows of one request have to be as many in every input.
        rows = {array.shape[0] for array in inputs.values()}
        key = tuple((name, array.shape[1:], array.dtype.str) for name, array in inputs.items())
        alone = (position,) if len(rows) != 1 else ()
        groups.setdefault((key, alone), []).append(position)
    return list(groups.values())


def split_points(arrays, name):
    """Where the rows of each request but the last end, for `numpy.split`."""
    return list(accumulate(inputs[name].shape[0] for inputs in arrays))[:-1]
