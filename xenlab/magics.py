"""``%xl`` and ``%%dom0``: typing to dom0 from a notebook cell; ``%check``: the checks of a lab."""

from __future__ import annotations

import shlex
from typing import Any

from xenlab.commands import CommandFailed, Completed, XenlabError
from xenlab.hosts.host import Host


def register(shell: Any) -> None:
    """Add the magics to an IPython shell."""

    def xl(line: str) -> None:
        """``%xl list``: run `xl` in the dom0 of the notebook's host and print what it prints."""
        _show(_host(shell).run(["xl", *shlex.split(line)], check=False))

    def dom0(line: str, cell: str) -> None:
        """``%%dom0``: run each line of the cell as a command in dom0, and stop at the first that fails."""
        for command in cell.splitlines():
            words = shlex.split(command, comments=True)
            if words:
                print(f"# {command.strip()}")
                _show(_host(shell).run(words, check=False))

    def check(line: str) -> None:
        """``%check``, or ``%check NOTEBOOK``: run the public checks of a lab's notebook, as it is saved."""
        from xenlab.grading.view import run_checks

        print(run_checks(line.strip() or None))

    shell.register_magic_function(check, "line", "check")
    shell.register_magic_function(xl, "line", "xl")
    shell.register_magic_function(dom0, "cell", "dom0")


def _host(shell: Any) -> Host:
    """The host of the notebook: its variable `host`."""
    named = shell.user_ns.get("host")
    if isinstance(named, Host):
        return named
    raise XenlabError("no host yet: run `host = xenlab.connect()` in a cell above")


def _show(completed: Completed) -> None:
    print(completed.stdout, end="")
    if not completed.ok:
        raise CommandFailed(completed)
    if completed.stderr:
        print(completed.stderr, end="")
