"""Packages from this machine's own Debian or Ubuntu sources, fetched and unpacked without root.

apt works on folders of ours: an empty package status, so that it resolves the whole closure of what we name, and
its own lists and archives, so that the system's are neither read-locked nor changed. Which mirror answers is the
machine's business (`/etc/apt`), not ours.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from xenlab.commands import CommandFailed, Completed


@dataclass(frozen=True)
class Package:
    """One package apt chose: its name and exact version."""

    name: str
    version: str


def _run(argv: Sequence[str], **kwargs: object) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]
    if done.returncode:
        raise CommandFailed(Completed(tuple(argv), done.stdout, done.stderr, done.returncode))
    return str(done.stdout)


class Apt:
    """apt on private folders below `root`: update, resolve, download and unpack, all as an ordinary user."""

    def __init__(self, root: Path) -> None:
        self.archives = root / "archives"
        for folder in (root / "lists/partial", self.archives / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        status = root / "status"
        status.touch()
        settings = {
            "Dir::State::lists": root / "lists",
            "Dir::State::status": status,
            "Dir::Cache": root,
            "Dir::Cache::archives": self.archives,
            "Debug::NoLocking": "1",
            # The sandbox user `_apt` may not be able to enter a user's cache folder.
            "APT::Sandbox::User": "",
        }
        self._options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]

    def _apt(self, *words: str) -> str:
        return _run(["apt-get", *self._options, *words], env=os.environ | {"LC_ALL": "C"})

    def update(self) -> None:
        """Fetch the lists of packages."""
        self._apt("update")

    def resolve(self, names: Sequence[str]) -> tuple[Package, ...]:
        """The closure of `names` on a machine that has nothing installed, in apt's order.

        A name may offer a choice: ``"linux-image-amd64 | linux-image-generic"`` takes the first that exists.
        """
        chosen = [self._first_known(name) if "|" in name else name for name in names]
        plan = self._apt("install", "--simulate", "--no-install-recommends", *chosen)
        return tuple(Package(*found) for found in re.findall(r"^Inst (\S+) \((\S+)", plan, re.MULTILINE))

    def _first_known(self, choice: str) -> str:
        options = [option.strip() for option in choice.split("|")]
        for option in options:
            policy = _run(["apt-cache", *self._options, "policy", option], env=os.environ | {"LC_ALL": "C"})
            if "Candidate: " in policy and "Candidate: (none)" not in policy:
                return option
        raise PackageMissing(options)

    def download(self, packages: Iterable[Package]) -> list[Path]:
        """Fetch these exact versions (what is there already is not fetched again); return their files."""
        wanted = list(packages)
        pinned = [f"{package.name}={package.version}" for package in wanted]
        self._apt("install", "--yes", "--download-only", "--no-install-recommends", *pinned)
        return [self._archive(package) for package in wanted]

    def _archive(self, package: Package) -> Path:
        version = package.version.replace(":", "%3a")
        (path,) = self.archives.glob(f"{package.name}_{version}_*.deb")
        return path


class PackageMissing(LookupError):
    """None of the packages that would do is in this machine's sources."""

    def __init__(self, options: Sequence[str]) -> None:
        super().__init__(
            f"none of the packages {', '.join(options)} is in this machine's apt sources; "
            "the box needs Debian 12 or Ubuntu 24.04 (with universe), or a ready image named by XENLAB_BOX"
        )


def unpack(archives: Iterable[Path], target: Path) -> None:
    """Unpack package files into `target`, two at a time."""
    target.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda archive: _run(["dpkg-deb", "--extract", str(archive), str(target)]), archives))


def tool(tree: Path, program: str, *arguments: str, name: str | None = None) -> str:
    """Run a program out of an unpacked tree, with its own libraries; `name` is its argv[0] where that matters."""
    libraries = ":".join(str(tree / folder / "x86_64-linux-gnu") for folder in ("usr/lib", "lib"))
    environment = os.environ | {"LD_LIBRARY_PATH": libraries}
    return _run([name or program, *arguments], executable=str(tree / program), env=environment)
