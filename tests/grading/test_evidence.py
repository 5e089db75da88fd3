"""Evidence is plain values in one canonical form, whatever pretends to be one."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.grading.evidence import LONGEST, evidence

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def said(capsys, *values, **named):
    capsys.readouterr()
    evidence(*values, **named)
    return capsys.readouterr().out


@given(plain)
def test_plain_values_come_back_from_json(value):
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as out:
        evidence(value)
    assert json.loads(out.getvalue()) == value
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (1 / 3, "0.333333333"),
        (float("nan"), '{"number": "nan"}'),
        ({2, 1}, "[1, 2]"),
        ({1: "a"}, '{"1": "a"}'),
        (b"\x01\xff", '{"bytes": "01ff"}'),
        (np.float64(0.1) + np.float64(0.2), "0.3"),
        (np.array([[1, 2]]), "[[1, 2]]"),
        (np.bool_(True), "true"),
        (pd.DataFrame({"a": [1]}, index=["x"]), '{"columns": ["a"], "index": ["x"], "rows": [[1]]}'),
        (pd.Series([1.5]), '{"index": [0], "values": [1.5]}'),
        (print, '{"not plain": "builtin_function_or_method"}'),
    ],
)
def test_one_form_for_each_value(capsys, value, text):
    assert said(capsys, value) == f"{text}\n"


class Always(str):
    """Equal to everything."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        return True


class Chameleon(dict):
    def items(self):
        return [("web", 1)]


@pytest.mark.parametrize("value", [Always("x"), Chameleon(), [Always("x")], {"a": Always("x")}])
def test_what_only_pretends_is_called_by_its_name(capsys, value):
    assert "not plain" in said(capsys, value)


def test_what_is_too_deep_or_too_long_is_cut(capsys):
    deep = []
    deep.append(deep)
    assert "too deep" in said(capsys, deep)
    assert len(said(capsys, "x" * 10**6)) < LONGEST + 100


def test_patching_print_and_json_afterwards_changes_nothing(capsys, monkeypatch):
    monkeypatch.setattr("builtins.print", lambda *values: None)
    monkeypatch.setattr("json.dumps", lambda value: "5")
    assert said(capsys, 6) == "6\n"
