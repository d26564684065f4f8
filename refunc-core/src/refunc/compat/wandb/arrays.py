"""Arrays and tensors as media need them. numpy is imported for those who have made an array with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def array_of(data: Any, *, channels_last: bool = False) -> Any:
    """
    Return *data* as an array of numpy: an array, a tensor of torch or the like, or a list of numbers; else None.

    Args:
        channels_last: Move the channels of a tensor, which come first there, to the end.
    """
    if hasattr(data, "detach"):  # torch's
        data = data.detach().cpu()
        if getattr(getattr(data, "dtype", None), "is_floating_point", False):
            data = data.float()  # numpy has no bfloat16
        array = data.numpy()
        if channels_last and len(array.shape) == 3 and array.shape[0] in (1, 3, 4):
            array = array.transpose(1, 2, 0)
        return array
    if hasattr(data, "__array__") and not hasattr(data, "shape"):
        return data.__array__()
    if hasattr(data, "shape") and hasattr(data, "dtype") and hasattr(data, "tobytes"):
        return data if hasattr(data, "astype") else data.__array__()
    if isinstance(data, (list, tuple)) and data:
        try:
            import numpy

            array = numpy.asarray(data)
        except Exception:  # no numpy, or lists of different lengths
            return None
        return array if array.dtype.kind in "biuf" else None
    return None


def npy_of(array: Any) -> bytes:
    """Return *array* as a file of numpy."""
    import io

    import numpy

    file = io.BytesIO()
    numpy.save(file, array, allow_pickle=False)
    return file.getvalue()


def bins_of(sequence: Any, number: int) -> tuple[list[float], list[float]]:
    """Return the counts of the numbers of *sequence* in so many bins of one width, and the edges; NaN is left out."""
    array = array_of(sequence) if not isinstance(sequence, (list, tuple)) or len(sequence) > 1_000 else None
    if array is not None and hasattr(array, "ravel"):
        import numpy

        flat = array.ravel().astype(float)
        counts, edges = numpy.histogram(flat[numpy.isfinite(flat)], bins=number)
        return counts.tolist(), edges.tolist()
    values = [value for value in map(float, _leaves(sequence)) if math.isfinite(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / number
    found = [0.0] * number
    for value in values:
        found[min(number - 1, int((value - low) / width))] += 1
    return found, [low + width * place for place in range(number)] + [high]


def _leaves(value: Any) -> list[Any]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple, set, range)):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]


def plain(value: Any) -> Any:
    """Return *value* as JSON has it: arrays and tensors as lists, NaN and the infinities as text, others as text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "item"):
        return plain(value.item())
    return str(value)
