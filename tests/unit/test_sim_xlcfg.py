"""The configuration parser says of each file what xl's own parser (libxlutil 4.17) says of it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.hosts.sim.xlcfg import ConfigSyntaxError, parse_config

PYTHON = [
    "warning: Config file looks like it contains Python code.",
    "warning:  Arbitrary Python is no longer supported.",
    "warning:  See https://wiki.xen.org/wiki/PythonInXlConfig",
]
ERROR = "x.cfg:{}: config parsing error near {}: {}"


def parse(text):
    reports = []
    return parse_config(text, "x.cfg", reports.append), reports


def errors_of(text):
    reports = []
    with pytest.raises(ConfigSyntaxError):
        parse_config(text, "x.cfg", reports.append)
    return reports


def test_a_file_of_every_kind_of_value():
    config, reports = parse("# a guest\nname = 'web' ; memory = 0x40\nvif = [ 'a', \"b\\n\",\n [1], ]\n")
    assert config.string("name") == "web"
    assert config.integer("memory") == 64
    assert config.items("vif") == ["a", "b\n", ["1"]]
    assert config.strings("vif") == ["a", "b\n"]
    assert reports == []


def test_the_last_assignment_counts_and_plus_adds_to_it():
    config, _ = parse("a = 'x'\na = 'y'\na += 'z'\nl = [1]\nl += [2]\n")
    assert config.string("a") == "yz"
    assert config.items("l") == ["1", "2"]


# What libxlutil.so.4.17 of Debian 12 printed for these texts.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memory =\n", [(0, "<newline>", "unexpected NEWLINE, expecting STRING or NUMBER or '['")]),
        ("name = web\n", [(1, "`web'", "unexpected IDENT, expecting STRING or NUMBER or '['")]),
        ("a=1 b=2\nA\n", [(1, "`b'", "unexpected IDENT, expecting $end")]),
        ("a 1\n", [(1, "`1'", "unexpected NUMBER, expecting += or '='")]),
        ("=1\n", [(1, "`='", "unexpected '=', expecting $end or IDENT or NEWLINE or ';'")]),
        ('v = ["a" "b"]\n', [(1, '`"b"\'', "unexpected STRING, expecting ']'")]),
        ("x = [1,2\n", [(1, "`'", "unexpected $end, expecting ']'")]),
        (
            "a=1\n\n\nfoo bar\n\n\nfoo bar\n",
            [(line, "`bar'", "unexpected IDENT, expecting += or '='") for line in (4, 7)],
        ),
    ],
)
def test_syntax_errors(text, expected):
    assert errors_of(text) == [
        ERROR.format(line, near, f"syntax error, {what}") for line, near, what in expected
    ]


@pytest.mark.parametrize(
    ("text", "line", "near", "python"),
    [
        ("memory = 64 MB\n", 1, "`MB'", False),
        ("Name = 1\n", 1, "`Name'", False),
        ('a="\n', 1, "`\"'", False),
        ("a=1 # c", 1, "`#'", False),
        ("a=-1\n", 1, "`-1'", True),
        ("a=(1)\n", 1, "`(1)'", True),
    ],
)
def test_lexical_errors(text, line, near, python):
    assert errors_of(text) == [ERROR.format(line, near, "lexical error"), *(PYTHON if python else [])]


def test_an_error_is_reported_once_a_line_and_python_is_recognised():
    assert errors_of("def f():\n  return 1\n") == [
        ERROR.format(1, "`f'", "syntax error, unexpected IDENT, expecting += or '='"),
        ERROR.format(1, "`():'", "lexical error"),
        *PYTHON,
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (r'a="x\q"', "invalid character after backlash in quoted string"),
        (r'a="\x41"', "invalid digit after backslash hexnumerical character escape in quoted string"),
        (r'a="\1"', "invalid digit after backslash octalnumerical character escape in quoted string"),
    ],
)
def test_bad_escapes(text, what):
    assert errors_of(text + "\n")[0].endswith(what)


def test_values_of_the_wrong_kind_are_reported_when_they_are_looked_up():
    config, reports = parse("a = [1]\nb = 'x'\nc = '1'\nc += '2'\n")
    assert (config.string("a"), config.integer("b"), config.items("b"), config.integer("c")) == (None,) * 4
    assert reports == [
        "x.cfg:1: warning: parameter `a' is a list but should be a single value",
        "x.cfg:2: warning: parameter `b' is not a valid number",
        "x.cfg:2: warning: parameter `b' is a single value but should be a list",
        "x.cfg:4: warning: can't use += with numbers for parameter `c'",
    ]


texts = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8)
values = st.recursive(texts, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@settings(max_examples=50)
@given(st.dictionaries(st.from_regex("[a-z][._0-9a-z]{0,5}", fullmatch=True), values, max_size=4))
def test_what_json_writes_is_read_back(settings_of_file):
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings_of_file.items())
    config, reports = parse(text)
    assert {name: setting.value for name, setting in config.settings.items()} == settings_of_file
    assert reports == []


@settings(max_examples=100)
@given(st.text("ab=[],;\n\"'\\#1 +-.$", max_size=30))
def test_any_text_is_read_or_refused_with_a_message(text):
    reports = []
    try:
        parse_config(text, "x.cfg", reports.append)
    except ConfigSyntaxError:
        assert reports
