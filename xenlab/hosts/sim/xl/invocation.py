"""One run of xl: its options, its look-ups of domains, and what it prints when they fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.libxl_log import libxl_log
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.process import ExitProgram, Process
from xenlab.hosts.sim.world import World
from xenlab.hosts.sim.xl.usage import help_on

Options = list[tuple[str, str]]


class Invocation:
    """What a subcommand works with: the world, its arguments, and where it prints."""

    def __init__(self, world: World, process: Process, arguments: list[str], dry_run: bool = False) -> None:
        self.world = world
        self.machine = world.machine
        self.process = process
        self.arguments = arguments
        self.dry_run = dry_run
        self.out = process.out
        self.err = process.err

    def options(
        self, name: str, short: str = "", long: Mapping[str, str] | None = None, required: int = 0
    ) -> tuple[Options, list[str]]:
        """Parse the arguments as def_getopt does; ends xl for help, a bad option, or too few operands.

        The first operand ends the options: xl's first getopt has a "+" for its global options, and glibc's keeps to it.
        """
        names = {"help": "h", **(long or {})}
        try:
            options, operands = parse_options(self.arguments, "h" + short, names, in_order=True)
        except BadOption as bad:
            self.fail(f"option `{bad.letter}' not supported.", 2)
        if any(letter == "h" for letter, _ in options):
            self.out(help_on(name))
            raise ExitProgram(0)
        if len(operands) < required:
            plural = "s" if required > 1 else ""
            self.err(f"'xl {name}' requires at least {required} argument{plural}.\n\n")
            self.out(help_on(name))
            raise ExitProgram(2)
        return options, operands

    def fail(self, text: str, status: int = 1) -> NoReturn:
        """Print one line on standard error and end the program."""
        self.process.fail(text, status)

    def domid(self, name: str) -> int:
        """The id that `name` stands for; digits are taken as they are, even if there is no such domain."""
        if name.isascii() and (name.isdigit() or not name):
            return int(name or 0) & 0xFFFFFFFF
        domain = self.world.domain_named(name)
        if domain is None:
            self.fail(f"{name} is an invalid domain identifier (rc=-6)")
        return domain.domid

    def domain(self, domid: int) -> Domain | None:
        """The domain of that id, if there is one."""
        return self.machine.domains.get(domid)

    def name_of(self, domid: int) -> str:
        """The domain's name as C's printf shows it."""
        name = self.world.name_of(domid)
        return "(null)" if name is None else name

    def log(self, where: str, text: str, domid: int | None = None, errno: str | None = None) -> None:
        """Log an error of libxl's."""
        libxl_log(self.err, where, text, domid, errno)

    def no_domain_type(self, domid: int) -> None:
        """What libxl logs when it is asked to work on a domain that is not there."""
        self.log("libxl_dom.c:37:libxl__domain_type", f"unable to get domain type for domid={domid}")
