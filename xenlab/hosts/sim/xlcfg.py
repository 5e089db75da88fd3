"""The syntax of a domain's configuration file (xl.cfg(5)), and what xl prints when it is wrong.

A file is a list of assignments, ``name = value`` or ``name += value``, ended by a line end or a semicolon.
A value is a quoted string, a bare number, or a list of values in brackets. Sources: libxlu_cfg_l.l
(tokens), libxlu_cfg_y.y (grammar), libxlu_cfg.c (messages and look-ups). The messages list the tokens which
that LALR(1) parser expects in each place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[str], None]  # takes one line for standard error, without its line end
Value = str | list["Value"]

_TOKENS = [
    ("IDENT", re.compile(r"[a-z][._0-9a-z]*")),
    ("NUMBER", re.compile(r"[0-9][0-9a-fx]*")),
    ("blank", re.compile(r"[ \t]")),
    ("+=", re.compile(r"\+=")),
    ("mark", re.compile(r"[],[=;]")),
    ("NEWLINE", re.compile(r"\n|#.*\n")),
    ("STRING", re.compile(r"'(?:[^'\\\n]|\\.)*'")),
    ("STRING", re.compile(r'"(?:[^"\\\n]|\\.)*"')),
]
_AFTER_BAD_CHARACTER = re.compile(r"\n|[ \t]|[^ \t\n]+")
_LOOKS_LIKE_PYTHON = "+,-.():"
_PYTHON_WARNING = (
    "warning: Config file looks like it contains Python code.",
    "warning:  Arbitrary Python is no longer supported.",
    "warning:  See https://wiki.xen.org/wiki/PythonInXlConfig",
)
_ESCAPES = {
    '"': '"',
    "'": "'",
    "\\": "\\",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_END = "$end"


class ConfigSyntaxError(Exception):
    """The file does not parse; the reasons have been reported."""


@dataclass(frozen=True)
class Token:
    """One lexical token: its kind, its text (without quotes), and the line that messages give for it."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Setting:
    """One assignment as it was read: its value, the line it was on, and whether it added (``+=``)."""

    value: Value
    line: int
    added: bool


class Config:
    """The settings of one configuration file; look-ups report a value of the wrong kind as xl does."""

    def __init__(self, source: str, report: Report) -> None:
        self.source = source
        self.settings: dict[str, Setting] = {}
        self._report = report

    def string(self, name: str, warn: bool = True) -> str | None:
        """The setting as text; None if it is missing or a list."""
        setting = self.settings.get(name)
        if setting is None:
            return None
        if isinstance(setting.value, str):
            return setting.value
        if warn:
            self._warn(setting, f"parameter `{name}' is a list but should be a single value")
        return None

    def integer(self, name: str, warn: bool = True) -> int | None:
        """The setting as a number (decimal, 0x hexadecimal, 0 octal); None if it is missing or not one."""
        text = self.string(name, warn)
        if text is None:
            return None
        setting = self.settings[name]
        if setting.added:
            problem = f"can't use += with numbers for parameter `{name}'"
        elif (number := c_integer(text)) is not None:
            return number
        else:
            problem = f"parameter `{name}' is not a valid number"
        if warn:
            self._warn(setting, problem)
        return None

    def items(self, name: str, warn: bool = True) -> list[Value] | None:
        """The setting as a list; None if it is missing or a single value."""
        setting = self.settings.get(name)
        if setting is None:
            return None
        if isinstance(setting.value, list):
            return setting.value
        if warn:
            self._warn(setting, f"parameter `{name}' is a single value but should be a list")
        return None

    def strings(self, name: str, warn: bool = True) -> list[str]:
        """The leading text items of a list setting (xl stops at the first item that is a list itself)."""
        found = []
        for item in self.items(name, warn) or []:
            if not isinstance(item, str):
                break
            found.append(item)
        return found

    def _warn(self, setting: Setting, problem: str) -> None:
        self._report(f"{self.source}:{setting.line}: warning: {problem}")


def c_integer(text: str) -> int | None:
    """`text` as C's ``strtol(text, &end, 0)`` reads it, or None unless it takes all of it.

    >>> c_integer("0x40"), c_integer("010"), c_integer("64 MB")
    (64, 8, None)
    """
    match = re.fullmatch(r"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
    if not match:
        return None
    digits = match[2].lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    return int(match[1] + digits, base)


def parse_config(text: str, source: str, report: Report) -> Config:
    """Read a configuration file.

    `source` is the name that messages give the file. Every message goes to `report`. Raises
    `ConfigSyntaxError` after the whole file has been read if anything was wrong with it.

    >>> config = parse_config('name = "web"\\nmemory = 64\\n', "web.cfg", print)
    >>> config.string("name"), config.integer("memory")
    ('web', 64)
    """
    parser = _Parser(text, source, report)
    parser.file()
    if parser.failed:
        if parser.likely_python:
            for line in _PYTHON_WARNING:
                report(line)
        raise ConfigSyntaxError(source)
    return parser.config


class _UnexpectedError(Exception):
    """A token that the grammar does not allow here."""

    def __init__(self, after_assignment: bool) -> None:
        self.after_assignment = after_assignment


class _Parser:
    def __init__(self, text: str, source: str, report: Report) -> None:
        self.config = Config(source, report)
        self.failed = False
        self.likely_python = False
        self._input = text
        self._at = 0
        self._line = 1  # of the next character
        self._text = ""  # of the token read last
        self._token_line = 1  # what the location of the token read last says
        self._lexical_error_line = -1
        self._unfinished = ""  # a bad character that is the last of the file
        self._ahead: Token | None = None
        self._recovering = 0  # tokens still to be shifted before syntax errors are reported again

    # -- grammar

    def file(self) -> None:
        while True:
            try:
                if self._peek().kind == _END:
                    return
                self._statement()
            except _UnexpectedError as unexpected:
                if unexpected.after_assignment or not self._recover():
                    return

    def _statement(self) -> None:
        token = self._expect(_END, "IDENT", "NEWLINE", ";")
        if token.kind != "IDENT":
            return
        added = self._expect("+=", "=").kind == "+="
        value, line = self._value()
        self._store(token.text, value, line, added)
        if self._peek().kind in ("NEWLINE", ";"):
            self._shift()
        elif self._peek().kind != _END:
            # By now bison has reduced all before to a whole file: it expects its end, and cannot recover.
            self._expect(_END, after_assignment=True)

    def _value(self) -> tuple[Value, int]:
        token = self._expect("STRING", "NUMBER", "[")
        if token.kind == "[":
            return self._list(token.line)
        return token.text, token.line

    def _list(self, line: int) -> tuple[list[Value], int]:
        items: list[Value] = []
        self._newlines()
        while self._peek().kind in ("STRING", "NUMBER", "["):
            item, item_line = self._value()
            if not items:
                line = item_line
            items.append(item)
            self._newlines()
            if self._peek().kind != ",":
                break
            self._shift()
            self._newlines()
        self._expect("]")
        return items, line

    def _newlines(self) -> None:
        while self._peek().kind == "NEWLINE":
            self._shift()

    def _store(self, name: str, value: Value, line: int, added: bool) -> None:
        if self.failed:
            return
        before = self.config.settings.get(name)
        if added and before is not None:
            if type(before.value) is not type(value):
                self._lexical_error('can\'t add [list] to "string" or vice versa')
                return
            value = before.value + value  # type: ignore[operator]
        self.config.settings[name] = Setting(value, line, added)

    # -- bison: one token of look-ahead, and panic-mode recovery up to the end of the line

    def _peek(self) -> Token:
        if self._ahead is None:
            self._ahead = self._scan()
        return self._ahead

    def _shift(self) -> Token:
        token = self._peek()
        self._ahead = None
        self._recovering = max(0, self._recovering - 1)
        return token

    def _expect(self, *kinds: str, after_assignment: bool = False) -> Token:
        token = self._peek()
        if token.kind in kinds:
            return self._shift()
        if not self._recovering:
            quoted = [_quoted(kind) for kind in kinds]
            self._error(
                token.line,
                f"syntax error, unexpected {_quoted(token.kind)}, expecting {' or '.join(quoted)}",
            )
        raise _UnexpectedError(after_assignment)

    def _recover(self) -> bool:
        self._recovering = 3
        while (kind := self._peek().kind) != "NEWLINE":
            if kind == _END:
                return False
            self._ahead = None
        self._shift()
        return True

    # -- flex

    def _scan(self) -> Token:
        while True:
            if self._at == len(self._input):
                self._text = (
                    self._unfinished or "\0"
                )  # flex ends its buffer so; messages print nothing for it
                return Token(_END, "", self._token_line)
            kind, text = self._longest()
            if kind == "bad":
                if not self._bad_character(text):
                    continue
                return Token("NEWLINE", self._text, self._token_line)
            self._take(text)
            if kind == "blank":
                continue
            self._token_line = self._line - 1 if kind == "NEWLINE" else self._line
            if kind == "STRING":
                text = self._dequote(text)
            return Token(text if kind == "mark" else kind, text, self._token_line)

    def _longest(self) -> tuple[str, str]:
        best = ("bad", self._input[self._at])
        for kind, pattern in _TOKENS:
            match = pattern.match(self._input, self._at)
            if match and (best[0] == "bad" or len(match[0]) > len(best[1])):
                best = (kind, match[0])
        return best

    def _take(self, text: str) -> None:
        self._text = text
        self._at += len(text)
        self._line += text.count("\n")

    def _bad_character(self, character: str) -> bool:
        """Skip what follows a character that starts no token; True if that was the end of the line."""
        self.likely_python |= character in _LOOKS_LIKE_PYTHON
        self._at += 1
        rest = _AFTER_BAD_CHARACTER.match(self._input, self._at)
        if rest is None:
            self._unfinished = character
            return False
        self._take(rest[0])
        self._text = character + rest[0]
        self._lexical_error("lexical error")
        if rest[0] != "\n":
            return False
        self._token_line = self._line
        return True

    def _dequote(self, text: str) -> str:
        if self.failed:
            return ""
        result, at, end = "", 1, len(text) - 1
        while at < end:
            character = text[at]
            at += 1
            if character != "\\":
                result += character
                continue
            escaped = text[at]
            at += 1
            if escaped in _ESCAPES:
                result += _ESCAPES[escaped]
            elif escaped in "01234567" and (digits := re.compile("[0-9]{2,3}").match(text, at)):
                at += len(digits[0])  # xl reads an octal escape and drops it
            else:
                self._lexical_error(_bad_escape(escaped))
                break
        return result

    # -- messages

    def _lexical_error(self, message: str) -> None:
        self._error(self._line, message)
        self._lexical_error_line = self._line

    def _error(self, line: int, message: str) -> None:
        if line <= self._lexical_error_line:
            return
        text, newline = self._text, ""
        if text.endswith("\n"):
            text = text[:-1]
            line -= 1
            if not text:
                newline = "<newline>"
        if text:
            text = "`" + text.strip("\0").rstrip(" \t") + "'"
        self.config._report(
            f"{self.config.source}:{line}: config parsing error near {text}{newline}: {message}"
        )
        self.failed = True


def _bad_escape(escaped: str) -> str:
    if escaped == "x" or escaped in "01234567":
        base = "hex" if escaped == "x" else "octal"
        return f"invalid digit after backslash {base}numerical character escape in quoted string"
    return "invalid character after backlash in quoted string"


def _quoted(kind: str) -> str:
    return f"'{kind}'" if kind in ("=", ";", "[", "]", ",") else kind
