"""A Xen host: its dom0, the drivers that work through it, and the record of all that was run."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import pandas as pd

from xenlab.commands import CommandFailed, Completed, XenlabError
from xenlab.domains.driver import Domain, Domains, Xenstore
from xenlab.hosts.dom0 import Dom0
from xenlab.hosts.transcript import Entry, Transcript

#: What the names of xenlab's domains begin with on a host that is not ours alone.
PREFIX = "xenlab-"
#: `xl` subcommands that change a domain; their first operand (or the value of -d) names it.
CHANGING = frozenset(
    """
    destroy shutdown reboot save migrate pause unpause rename mem-set mem-max vcpu-set vcpu-pin trigger sysrq
    block-attach block-detach network-attach network-detach sched-credit sched-credit2 cpupool-migrate dump-core
    """.split()
)


class NotOurs(XenlabError):
    """A command that would change a domain which xenlab has not made."""

    def __init__(self, name: str, subcommand: str) -> None:
        super().__init__(
            f"`xl {subcommand}` of domain {name!r} must not come from xenlab: on a shared host it touches only domains "
            f"whose names begin with {PREFIX!r}; type the command in dom0's own shell if you mean it"
        )


class Host:
    """A machine that runs Xen, or one that behaves as if it did.

    Everything goes through `run`, so everything stands in `transcript`. As a context manager it ends the domains it
    made and gives its dom0 back.

    Args:
        dom0: Where commands run.

    """

    def __init__(self, dom0: Dom0) -> None:
        self.dom0 = dom0
        self.transcript = Transcript()
        self.xenstore = Xenstore(self)
        self._domains = Domains(self, prefix=PREFIX if dom0.shared else "")

    # -- what drivers need (xenlab.commands.Commands) -----------------------------------------------------------------

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True) -> Completed:
        """Run a command in dom0 and return what it printed.

        Args:
            argv: The command and its arguments; no shell reads them.
            stdin: What it reads on standard input.
            check: Raise `CommandFailed` if its exit status is not 0.

        """
        words = tuple(str(word) for word in argv)
        self._refuse_what_is_not_ours(words)
        start = self.dom0.now()
        completed = self.dom0.run(words, stdin)
        self.transcript.append(Entry(completed, self.dom0.now() - start))
        if check and not completed.ok:
            raise CommandFailed(completed)
        return completed

    def xl(self, *args: object) -> str:
        """What ``xl`` prints for these arguments, the same on every kind of dom0."""
        return self.run(["xl", *map(str, args)]).stdout

    def put(self, data: bytes, path: str) -> None:
        """Write `data` to the file `path` in dom0."""
        self.dom0.put(data, path)

    def get(self, path: str) -> bytes:
        """Read the file `path` in dom0."""
        return self.dom0.get(path)

    def now(self) -> float:
        """Seconds on dom0's clock."""
        return self.dom0.now()

    def wait(self, seconds: float) -> None:
        """Let time pass in dom0; on the simulator it costs none of yours."""
        self.dom0.wait(seconds)

    # -- what readers use ---------------------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """``"local"``, ``"ssh"``, ``"box"`` or ``"sim"``."""
        return self.dom0.kind

    @property
    def simulated(self) -> bool:
        """True if no real Xen answers."""
        return self.dom0.simulated

    def create(self, config: str | None = None, **options: object) -> Domain:
        """Create a domain; see `xenlab.domains.driver.Domains.create`."""
        return self._domains.create(config, **options)  # type: ignore[arg-type]

    def restore(self, path: str) -> Domain:
        """Bring a saved domain back from the file `path` in dom0."""
        return self._domains.restore(path)

    def domains(self) -> pd.DataFrame:
        """The domains there are, as ``xl list`` shows them: name, id, memory (MiB), vcpus, state, time (s)."""
        return self._domains.table()

    def __getitem__(self, name: str) -> Domain:
        return self._domains[name]

    def close(self) -> None:
        """End the domains this host made, and give dom0 back. Closing twice is allowed."""
        try:
            self._domains.destroy_all()
        finally:
            self.dom0.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Host {self.kind}{' (simulated)' if self.simulated else ''}>"

    def _refuse_what_is_not_ours(self, argv: tuple[str, ...]) -> None:
        if not self.dom0.shared or argv[:1] != ("xl",) or len(argv) < 2 or argv[1] not in CHANGING:
            return
        name = self._domain_named(argv[2:])
        if name is not None and not name.startswith(PREFIX):
            raise NotOurs(name, argv[1])

    def _domain_named(self, operands: tuple[str, ...]) -> str | None:
        """The name of the domain these operands are about; None if they name none that exists."""
        about = (
            operands[operands.index("-d") + 1 :]
            if "-d" in operands
            else [word for word in operands if not word.startswith("-")]
        )
        if not about:
            return None
        listed = self.dom0.run(["xl", "list", about[0]])
        return listed.stdout.splitlines()[1].split()[0] if listed.ok else None
