"""A place of its own to build libraries in, and to run programs with them: real compiler, real linker.

What is built lies in a temporary folder that goes with the workshop. Every program has a deadline, and gets nothing of
the environment but what the linker and the libraries are told.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from xenlab.commands import CommandFailed, Completed, XenlabError
from xenlab.library.linker import Object

DEADLINE = 20.0  # seconds
_BINDING = re.compile(r"binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `([^']+)'")


class NoCompiler(XenlabError):
    """This machine cannot build a library."""

    def __init__(self) -> None:
        super().__init__(
            "a C compiler (`cc`) must be installed to build a library: `sudo apt-get install gcc libc6-dev`"
        )


class Workshop:
    """Builds C sources to shared libraries and runs programs with them preloaded.

    As a context manager it removes what it has built.

    >>> with Workshop() as shop:
    ...     clock = shop.build("clock")
    ...     print(shop.run(["date", "-u", "+%Y"], preload=[clock], XENLAB_TIME="0").stdout.strip())
    1970
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="xenlab-library-")
        self.path = Path(self._folder.name)

    def build(self, name: str, text: str | None = None, links: Sequence[Path] = ()) -> Path:
        """Compile a source to a shared library.

        Args:
            name: What to call it; one of the book's own sources, unless a text is given.
            text: The source, in C.
            links: Libraries that it needs.

        Raises:
            NoCompiler: There is no C compiler here.
            CommandFailed: The compiler refused; the message shows its words.

        """
        library = self.path / f"lib{name}.so"
        self._compile(name, text, ["-shared", "-fPIC"], links, library)
        return library

    def program(self, name: str, text: str | None = None, links: Sequence[Path] = ()) -> Path:
        """Compile a source to a program; arguments and errors as for `build`."""
        program = self.path / name
        self._compile(name, text, [], links, program)
        return program

    def _compile(
        self, name: str, text: str | None, options: Sequence[str], links: Sequence[Path], target: Path
    ) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise NoCompiler
        source = self.path / f"{name}.c"
        source.write_text(source_of(name) if text is None else text)
        # --no-as-needed: a library stays in the list of needed ones even where nothing of it is used.
        libraries = ["-Wl,--no-as-needed", *map(str, links), f"-Wl,-rpath,{self.path}"] if links else []
        argv = [compiler, "-O2", "-fno-builtin", *options, "-o", str(target), str(source), *libraries]
        done = _run(argv, {"PATH": os.environ.get("PATH", os.defpath)})
        if not done.ok:
            raise CommandFailed(done)

    def run(self, argv: Sequence[str], preload: Sequence[Path] = (), **environment: str) -> Completed:
        """Run a program, with libraries preloaded, and return what it printed.

        Args:
            argv: The program and its arguments; no shell reads them.
            preload: Libraries that answer before all others, the first first.
            environment: What the libraries are told, such as ``XENLAB_TIME="0"``.

        Raises:
            XenlabError: The program did not end within 20 s.

        """
        told = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **environment}
        if preload:
            told["LD_PRELOAD"] = ":".join(map(str, preload))
        return _run(argv, told)

    def bindings(self, argv: Sequence[str], preload: Sequence[Path] = ()) -> Mapping[str, str]:
        """Ask the real linker which library answers each function that the program calls.

        Returns the file names of libraries by function, for the program's own calls (glibc: ld.so(8), LD_DEBUG).
        """
        log = self.path / "bindings"
        for old in self.path.glob("bindings.*"):
            old.unlink()
        # LD_BIND_NOW: look everything up at the start, not only what is called in the end.
        self.run(argv, preload, LD_DEBUG="bindings", LD_DEBUG_OUTPUT=str(log), LD_BIND_NOW="1")
        (told,) = self.path.glob("bindings.*")
        return {
            symbol: Path(to).name
            for binder, to, symbol in _BINDING.findall(told.read_text())
            if Path(binder).name == Path(argv[0]).name
        }

    def close(self) -> None:
        """Remove what was built."""
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def source_of(name: str) -> str:
    """The C source of one of the book's own libraries: ``"clock"``, ``"files"``, …"""
    return resources.files("xenlab.library").joinpath("sources", f"{name}.c").read_text()


def objects(bindings: Mapping[str, str], program: str, preload: Sequence[str] = ()) -> list[Object]:
    """What a program's real bindings say of its libraries, in the linker's own terms: a picture can be drawn of it."""
    libraries = dict.fromkeys(bindings.values())
    found = [
        Object(library, frozenset(symbol for symbol, at in bindings.items() if at == library))
        for library in libraries
    ]
    needed = tuple(library for library in libraries if library not in preload)
    return [Object(program, needs=needed), *found]


def here() -> str:
    """What this machine offers for a library of one's own, in one line."""
    compiler = shutil.which("cc")
    return f"{platform.system()} on {platform.machine()}, C compiler: {compiler or 'none'}"


def _run(argv: Sequence[str], environment: Mapping[str, str]) -> Completed:
    try:
        done = subprocess.run(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DEADLINE,
        )
    except subprocess.TimeoutExpired as error:
        raise XenlabError(
            f"{argv[0]!r} must end within {DEADLINE:.0f} s: it did not, and was ended"
        ) from error
    except FileNotFoundError as error:
        raise XenlabError(f"argv(={list(argv)!r}) must begin with a program of this machine") from error
    return Completed(tuple(argv), done.stdout, done.stderr, done.returncode)
