"""Take in what a class has handed in: folders, files, and the zips that Moodle and Canvas make.

Nothing is unpacked to the disk and no link is followed, so no name can lead anywhere. What cannot be read becomes a
`Submission` with a `problem`: one bad file never stops a class.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PureWindowsPath
from typing import IO, Any

from xenlab.grading.names import Owner, mark, owner, shown
from xenlab.grading.rebuild import named

MIB = 2**20
LARGEST = 10 * MIB  # of one notebook, or of a zip that a student handed in
LARGEST_CLASS = 1024 * MIB  # of all notebooks together
MOST_FILES = 100_000

_LITTER = ("__MACOSX", ".ipynb_checkpoints", ".git", "__pycache__")
_SPARE_NOTES = 5


@dataclass(frozen=True)
class Submission:
    """What one student has handed in.

    `student` is safe as a file's name; `name`, `system` and `number` are what the learning platform calls them.
    `file` is where the notebook was, fit to be shown; `says` is the student's number that stands in it, if any. Either
    `data` is a notebook's bytes, or `problem` says why there is none.
    """

    student: str
    name: str
    system: str
    number: str
    file: str
    data: bytes | None
    notes: tuple[str, ...] = ()
    problem: str | None = None
    says: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of what was handed in."""
        return hashlib.sha256(self.data or b"").hexdigest()


@dataclass(frozen=True)
class _File:
    """One file that was handed in: its path, when it was written, how to read it, or why not."""

    parts: tuple[str, ...]
    when: float
    read: Callable[[], bytes]
    problem: str | None = None

    @property
    def owner(self) -> Owner:
        return owner(self.parts)

    @property
    def name(self) -> str:
        return shown("/".join(self.parts))

    @property
    def is_notebook(self) -> bool:
        return self.parts[-1].lower().endswith(".ipynb")

    @property
    def age(self) -> tuple[int, float, str]:
        """What orders a student's files, the latest last."""
        return self.owner.upload, self.when, self.name


class _Refused(Exception):
    """Why a file is not taken."""


def submissions(sources: Iterable[Path]) -> list[Submission]:
    """Take in everything under `sources`: folders, zips of a class, single notebooks; one a student, by name.

    Of several notebooks of one student the latest counts, and a note says so.

    Raises `FileNotFoundError` if a source is not there: that is the instructor's slip, not a student's.
    """
    with ExitStack() as stack:
        handed_in: dict[tuple[str, str], list[_File]] = {}
        for source in sources:
            for file in _files(Path(source), stack):
                handed_in.setdefault(file.owner.key, []).append(file)
        taken = _Taken()
        found = [taken.of(files) for files in handed_in.values()]
    return sorted(found, key=lambda each: each.student)


class _Taken:
    """What was taken so far: no student is named twice, and memory does not run out."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._bytes = 0

    def of(self, files: list[_File]) -> Submission:
        files.sort(key=lambda file: (file.is_notebook, *file.age), reverse=True)
        who = files[0].owner
        file, data, says, problem = self._choose(files)
        notes = [
            f"{each.name} was left out: {each.problem}" for each in files if each.problem and each is not file
        ]
        if (others := sum(each.is_notebook and not each.problem for each in files)) > 1 and file.is_notebook:
            notes.insert(0, f"{others} notebooks were handed in; this is the latest, {file.name}")
        if data is not None and not file.is_notebook:
            notes.insert(0, f"the notebook was found in {file.name}")
        if who.late:
            notes.insert(0, "handed in late")
        if len(notes) > _SPARE_NOTES:
            notes[_SPARE_NOTES:] = [f"and {len(notes) - _SPARE_NOTES} more files were left out"]
        name, told = shown(who.name), tuple(notes)
        return Submission(
            self._named(who), name, who.system, who.number, file.name, data, told, problem, says
        )

    def _choose(self, files: list[_File]) -> tuple[_File, bytes | None, str, str | None]:
        """The file that counts, its notebook and the number in it, or its problem."""
        why: tuple[_File, str] | None = None
        for file in files:
            try:
                if file.problem:
                    raise _Refused(file.problem)
                data, says = _notebook(file.read())
                self._bytes += len(data)
                if self._bytes > LARGEST_CLASS:
                    raise _Refused(
                        f"the class has handed in more than {LARGEST_CLASS // MIB} MiB: grade it in parts"
                    )
                return file, data, says, None
            except Exception as error:  # whatever a student's bytes make a parser raise
                why = why or (file, shown(str(error)))
            if file.is_notebook and not file.problem:
                break  # the latest counts, also where it is broken
        assert why is not None  # there is no student without a file
        name, told = why[0].name, why[1]
        return why[0], None, "", f"{name} {told}" if why[0].is_notebook else f"no notebook: {name} {told}"

    def _named(self, who: Owner) -> str:
        name = who.student
        if name.casefold() in self._names:
            name = f"{name}-{mark(repr(who.key))}"
        self._names.add(name.casefold())
        return name


def _notebook(data: bytes) -> tuple[bytes, str]:
    """These bytes, if they are a notebook, or the notebook in the zip they are; and the student's number in it."""
    notebook = _from_zip(data) if data[:4] == b"PK\x03\x04" else data
    return notebook, _number(notebook)


def _from_zip(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        inside = [file for file in _in_zip(archive) if file.is_notebook and not file.problem]
        if not inside:
            raise _Refused("is a zip without a notebook that can be read in it")
        return max(inside, key=lambda file: file.age).read()


def _number(data: bytes) -> str:
    """The student's number that a notebook gives; refuses what is no notebook."""
    if not data.strip():
        raise _Refused("is empty")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"is not a notebook: {shown(str(error), 60)}") from error
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise _Refused("is not a notebook: it has no cells")
    return shown(named(_source(cell) for cell in content["cells"]), 60)


def _source(cell: Any) -> str:
    """A cell's source as it stands in the file: one text, or a list of lines."""
    source = cell.get("source") if isinstance(cell, dict) else ""
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _files(source: Path, stack: ExitStack) -> Iterator[_File]:
    """All files of one source; a source without any is one file with a problem."""
    if source.is_dir():
        found = list(_in_folder(source))
    elif source.suffix.lower() == ".zip":
        found = list(_in_class_zip(source, stack))
    else:
        found = [_on_disk(source, (source.name,))]
    yield from found or [_problem((source.name,), "holds no file")]


def _in_folder(folder: Path) -> Iterator[_File]:
    def unreadable(error: OSError) -> None:
        refused.append(
            _problem(Path(error.filename).relative_to(folder).parts, f"cannot be read: {error.strerror}")
        )

    refused: list[_File] = []
    for where, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(each for each in folders if each not in _LITTER)
        for name in sorted(names):
            if not _is_litter(name):
                path = Path(where, name)
                yield _on_disk(path, path.relative_to(folder).parts)
        for name in folders:
            if Path(where, name).is_symlink():
                yield _problem(Path(where, name).relative_to(folder).parts, "is a symbolic link")
    yield from refused


def _on_disk(path: Path, parts: tuple[str, ...]) -> _File:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return _problem(parts, "is a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        return _problem(parts, "is not a file")

    def read() -> bytes:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return _at_most(file)

    return _File(parts, status.st_mtime, read)


def _in_class_zip(path: Path, stack: ExitStack) -> Iterator[_File]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except FileNotFoundError:
        raise
    except Exception as error:
        yield _problem((path.name,), f"cannot be read: {shown(str(error))}")
        return
    if len(archive.infolist()) > MOST_FILES:
        yield _problem((path.name,), f"holds more than {MOST_FILES} files")
        return
    files = list(_in_zip(archive))
    wrapped = all(len(file.parts) > 1 and file.parts[0] == path.stem for file in files)
    for file in files:
        yield _File(file.parts[1:], file.when, file.read, file.problem) if wrapped else file


def _in_zip(archive: zipfile.ZipFile) -> Iterator[_File]:
    for info in archive.infolist():
        parts = tuple(part for part in info.filename.replace("\\", "/").split("/") if part not in ("", "."))
        if info.is_dir() or not parts or _is_litter(parts[-1]) or any(part in _LITTER for part in parts):
            continue
        kept = tuple(part for part in parts if part != "..") or ("?",)
        if kept != parts or info.filename.startswith(("/", "\\")) or PureWindowsPath(info.filename).drive:
            yield _problem(kept, "has a name that leads out of its folder")
        elif stat.S_ISLNK(info.external_attr >> 16):
            yield _problem(kept, "is a symbolic link")
        elif info.flag_bits & 1:
            yield _problem(kept, "is encrypted")
        else:
            yield _File(kept, _when(info.date_time), _reader(archive, info))


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        with archive.open(info) as file:
            return _at_most(file)

    return read


def _at_most(file: IO[bytes]) -> bytes:
    """What a file holds, unless that is too much, whatever its archive says of its size."""
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise _Refused(f"is larger than {LARGEST // MIB} MiB")
    return data


def _when(moment: tuple[int, int, int, int, int, int]) -> float:
    """When an archive says that a file was written; some hold dates that no calendar has."""
    try:
        return datetime(*moment).timestamp()
    except ValueError:
        return 0.0


def _problem(parts: tuple[str, ...], problem: str) -> _File:
    def read() -> bytes:
        raise _Refused(problem)

    return _File(parts, 0, read, problem)


def _is_litter(name: str) -> bool:
    return name.startswith("._") or name in (".DS_Store", "Thumbs.db", "desktop.ini")
