"""What a class has earned, kept on disk as it becomes known: one JSON file a student, each written whole or not at all.

A file also holds the key of what was graded. A second run that asks for the same key takes the file's result, so a
batch that was interrupted goes on where it stopped, and a notebook that was handed in anew is graded anew.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from xenlab.commands import XenlabError
from xenlab.grading.results import Result


@dataclass(frozen=True)
class Entry:
    """One student's result, and what the learning platform calls the student and the file."""

    result: Result
    name: str
    system: str
    number: str
    file: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json`."""
        return {**asdict(self), "result": self.result.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Take what `to_json` returned."""
        return cls(**{**data, "result": Result.from_json(data["result"])})


@dataclass(frozen=True)
class Store:
    """The results in a folder, and the list of the students in the batch that was graded last."""

    folder: Path

    def get(self, student: str, key: str) -> Entry | None:
        """Return what was found out about this student for this key, None if that is not known yet."""
        try:
            data = json.loads(self._file(student).read_text())
            return Entry.from_json(data["entry"]) if data["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, student: str, key: str, entry: Entry) -> None:
        """Keep a student's result under a key; an empty key is never asked for again."""
        write(self._file(student), json.dumps({"key": key, "entry": entry.to_json()}, indent=1), lasting=True)

    def begin(self, lab: str, students: Iterable[str]) -> None:
        """Write down whose work is in the batch, in the order of the report."""
        write(self.folder / "batch.json", json.dumps({"lab": lab, "students": list(students)}, indent=1))

    def entries(self) -> list[Entry]:
        """Return the results of the last batch that are there, in its order.

        Raises `XenlabError` if no batch was graded into the folder.
        """
        try:
            batch = json.loads((self.folder / "batch.json").read_text())
        except FileNotFoundError as error:
            raise XenlabError(
                f"{self.folder} holds no results: give the folder of `xenlab grade … --out`"
            ) from error
        found = []
        for student in batch["students"]:
            if (file := self._file(student)).exists():
                found.append(Entry.from_json(json.loads(file.read_text())["entry"]))
        return found

    def _file(self, student: str) -> Path:
        return self.folder / "results" / f"{student}.json"


def write(path: Path, text: str, lasting: bool = False) -> None:
    """Write a file so that whoever looks sees it whole, the old or the new; `lasting`, also after the power failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
