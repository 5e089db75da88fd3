"""Evidence: what a check prints of an answer, for somebody else to judge.

A verdict printed in a student's kernel is worth nothing: the code that is judged could have printed it. So a check
prints values, as canonical JSON, and the comparison is made elsewhere, with values that the kernel has never seen.
In a notebook evidence is an output of a kind of its own, so that what an answer prints beside it does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from json import JSONEncoder
from typing import Any

DIGITS = 9  # significant ones of a number that is not whole
DEEPEST = 20
LONGEST = 100_000  # characters of a line

MIME = "application/vnd.xenlab.evidence"  # the kind of output that is compared

_print = print  # bound here and now, as all that evidence needs is
_encode = JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def evidence(*values: Any, **named: Any) -> None:
    """Print values as JSON: one as it stands, several as a list, named ones as an object.

    What counts is the exact type. An object that says it is equal to everything is printed as what it is, and so
    is a number that is no number of Python's own. Tuples are lists, a set is sorted, numbers are rounded to nine
    significant digits; arrays and tables become lists. What is too deep or too long is cut.

    >>> evidence(3, (0.1 + 0.2, None))
    [3, [0.3, null]]
    >>> evidence(shares={"web": 2 / 3}, names={"b", "a"})
    {"names": ["a", "b"], "shares": {"web": 0.666666667}}
    >>> class Always(int):
    ...     def __eq__(self, other):
    ...         return True
    >>> evidence(Always(3))
    {"not plain": "Always"}
    """
    value: Any = named if named else values[0] if len(values) == 1 else values
    text = _encode(_plain(value, 0))
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
    _say(cut)


def _say(text: str) -> None:
    """Display a line in a notebook, print it elsewhere."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None:
        _print(text)
    else:
        shell.display_pub.publish({"text/plain": text, MIME: text})


def evidence_in(outputs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines of evidence among a cell's outputs."""
    return [str(output["data"][MIME]) for output in outputs if MIME in output.get("data", {})]


def _plain(value: Any, depth: int) -> Any:
    """Return a value made of JSON's own kinds alone."""
    if depth > DEEPEST:
        return {"too deep": _name(value)}
    make = _PLAIN.get(type(value))
    if make is not None:
        return make(value, depth)
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas"):
        return _from_numpy(value, depth)
    return {"not plain": _name(value)}


def _name(value: Any) -> str:
    return type(value).__name__


def _number(value: float, depth: int) -> Any:
    if not math.isfinite(value):
        return {"number": str(value)}
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 2**53 else rounded


def _list(value: Any, depth: int) -> list[Any]:
    return [_plain(each, depth + 1) for each in value]


def _set(value: Any, depth: int) -> list[Any]:
    return sorted(_list(value, depth), key=_encode)


def _object(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    """Keys are text in JSON: those that are not are written as JSON themselves."""
    return {
        key if type(key) is str else _encode(_plain(key, depth + 1)): _plain(each, depth + 1)
        for key, each in value.items()
    }


def _same(value: Any, depth: int) -> Any:
    return value


_PLAIN: dict[type, Callable[[Any, int], Any]] = {
    bool: _same,
    int: _same,
    str: _same,
    type(None): _same,
    float: _number,
    list: _list,
    tuple: _list,
    set: _set,
    frozenset: _set,
    dict: _object,
    bytes: lambda value, depth: {"bytes": value.hex()},
}


def _from_numpy(value: Any, depth: int) -> Any:
    """An array, a scalar, a series or a table, by its exact type; a subclass is none of them."""
    import numpy as np
    import pandas as pd

    kind = type(value)
    if kind is np.ndarray or issubclass(kind, np.generic):
        return (
            _plain(value.tolist(), depth + 1) if kind.__module__ == "numpy" else {"not plain": kind.__name__}
        )
    if kind is pd.DataFrame:
        rows = [[_plain(each, depth + 2) for each in row] for row in value.itertuples(index=False, name=None)]
        return {"columns": _list(value.columns, depth), "index": _list(value.index, depth), "rows": rows}
    if kind is pd.Series:
        return {"index": _list(value.index, depth), "values": _list(value, depth)}
    return {"not plain": kind.__name__}
