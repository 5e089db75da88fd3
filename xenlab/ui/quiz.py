"""A question with a few answers, and something to say about each of them."""

from __future__ import annotations

import string
from dataclasses import dataclass

import traitlets

from xenlab.commands import XenlabError
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.widget import Widget, source


@dataclass(frozen=True)
class Option:
    """One possible answer: its text, what to tell whoever chooses it, and whether it is right."""

    text: str
    feedback: str
    right: bool = False


def _verdict(option: Option) -> str:
    return "Right." if option.right else "Not this one."


class Quiz(Widget):
    """A multiple-choice question that answers back: every option, right or wrong, has its feedback.

    `question` and the options' texts may mark `code`, **strong** and *emphasis*. Exactly one option is
    right. The reader may try them all. Where there is no front end, each answer unfolds to its feedback
    (HTML), or `choose` gives it (text). Raises `XenlabError` unless there are two options or more, all with
    feedback, and one right.

    >>> quiz = Quiz(
    ...     "Which domain may start others?",
    ...     Option("dom0", "It is the privileged one.", right=True),
    ...     Option("any domU", "A domU has no such right."),
    ... )
    >>> quiz.choose("b")
    'Not this one. A domU has no such right.'
    >>> quiz
    Which domain may start others?
      a) dom0
      b) any domU
    .choose("a") says whether that is right, and why.
    """

    _esm = source("parts.js", "quiz.js")
    question = traitlets.Unicode().tag(sync=True)
    options: traitlets.List[dict[str, object]] = traitlets.List().tag(sync=True)
    #: Number of the option chosen last; -1 before the first choice.
    chosen = traitlets.Int(-1).tag(sync=True)

    def __init__(self, question: str, *options: Option) -> None:
        if len(options) < 2 or sum(option.right for option in options) != 1:
            raise XenlabError(
                f"options(={len(options)} of them) must be two or more, exactly one of them right"
            )
        if silent := [option.text for option in options if not option.feedback.strip()]:
            raise XenlabError(f"option(={silent[0]!r}) must have feedback")
        self._question, self._options = question, options
        super().__init__(
            question=to_html(question),
            options=[
                {"text": to_html(o.text), "feedback": to_html(o.feedback), "right": o.right} for o in options
            ],
        )

    def choose(self, letter: str) -> str:
        """Choose the option with this letter, return its feedback; raise `XenlabError` if there is none."""
        letters = string.ascii_lowercase[: len(self._options)]
        if len(letter) != 1 or letter not in letters:
            raise XenlabError(f"letter(={letter!r}) must be one of: {', '.join(letters)}")
        self.chosen = letters.index(letter)
        option = self._options[self.chosen]
        return f"{_verdict(option)} {to_plain(option.feedback)}"

    def describe(self) -> str:
        """Return the question and its options, lettered."""
        options = (
            f"  {letter}) {to_plain(option.text)}"
            for letter, option in zip(string.ascii_lowercase, self._options, strict=False)
        )
        how = '.choose("a") says whether that is right, and why.'
        return "\n".join([to_plain(self._question), *options, how])

    def picture(self) -> str:
        """Return the question as HTML in which every option unfolds to its feedback."""
        options = "".join(
            f"<details><summary>{to_html(option.text)}</summary>"
            f"<p><strong>{_verdict(option)}</strong> {to_html(option.feedback)}</p></details>"
            for option in self._options
        )
        return f"<div><p><strong>{to_html(self._question)}</strong></p>{options}</div>"
