"""Domains of a host: made, watched, moved through their lives and ended, by `xl` and xenstore's tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from xenlab.commands import Commands, XenlabError
from xenlab.domains import table
from xenlab.domains.config import BadConfig, DomainConfig, name_in
from xenlab.domains.console import CONSOLE_LOG, Logs, read_logs
from xenlab.domains.model import State

#: Where configuration files are put before `xl create` reads them.
CONFIG_FILE = "/var/lib/xenlab/{}.cfg"


class NoSuchDomain(XenlabError, KeyError):
    """No domain has this name."""

    def __str__(self) -> str:
        return str(self.args[0])


class TooLate(XenlabError):
    """Something that was waited for did not come in time."""


class Domain:
    """One domain of a host, known by its name."""

    def __init__(
        self, host: Commands, name: str, prefix: str = "", printed_before: tuple[int, int] = (0, 0)
    ) -> None:
        self._host = host
        self._prefix = prefix
        self._printed_before = printed_before
        self.name = name

    def __repr__(self) -> str:
        return f"<Domain {self.name}>"

    @property
    def row(self) -> table.Row:
        """What `xl list` says of it now; raises `CommandFailed` if it is gone."""
        return table.read(self._host.xl("list", self.name))[0]

    @property
    def id(self) -> int:
        """Its number: a new one each time it is built."""
        return int(self._host.xl("domid", self.name))

    @property
    def state(self) -> State:
        """Where it is in its life; `State.ABSENT` if Xen knows it no more."""
        return next((row.state for row in _rows(self._host) if row.name == self.name), State.ABSENT)

    def info(self) -> dict[str, Any]:
        """Its whole configuration, as ``xl list -l`` has it in JSON."""
        (found,) = json.loads(self._host.xl("list", "-l", self.name))
        return dict(found)

    def pause(self) -> None:
        """Take its vCPUs off the processors; its memory stays."""
        self._host.xl("pause", self.name)

    def unpause(self) -> None:
        """Let it run again."""
        self._host.xl("unpause", self.name)

    def shutdown(self, wait: bool = True) -> None:
        """Ask the guest to shut down, and wait until it has."""
        self._host.xl("shutdown", *(["-w"] if wait else []), self.name)

    def reboot(self) -> None:
        """Ask the guest to restart; it comes back as a new domain with a new id."""
        self._host.xl("reboot", self.name)

    def destroy(self) -> None:
        """End it at once, as if its power were cut."""
        self._host.xl("destroy", self.name)

    def save(self, path: str, keep_running: bool = False) -> None:
        """Write its memory and registers to the file `path` in dom0; with `keep_running` it goes on afterwards."""
        self._host.xl("save", *(["-c"] if keep_running else []), self.name, path)

    def rename(self, name: str) -> None:
        """Give it another name."""
        if not name.startswith(self._prefix):
            raise BadConfig(f"name(={name!r}) must begin with {self._prefix!r} on a host that others share")
        self._host.xl("rename", self.name, name)
        self.name = name

    def mem_set(self, mebibytes: int) -> None:
        """Set the memory its balloon driver shall leave it, in MiB."""
        self._host.xl("mem-set", self.name, f"{mebibytes}m")

    def vcpu_set(self, count: int) -> None:
        """Set how many of its vCPUs are online."""
        self._host.xl("vcpu-set", self.name, str(count))

    def vcpu_pin(self, vcpu: int | Literal["all"], cpus: str) -> None:
        """Allow a vCPU (or all of them) only these physical CPUs, such as ``"0"``, ``"0-1"`` or ``"all"``."""
        self._host.xl("vcpu-pin", self.name, str(vcpu), cpus)

    def vcpus(self) -> pd.DataFrame:
        """Its vCPUs: vcpu, cpu (where it runs; missing if offline), state, time (s), hard and soft affinity."""
        rows = [line.split() for line in self._host.xl("vcpu-list", self.name).splitlines()[1:]]
        # NAME ID VCPU CPU STATE TIME HARD / SOFT
        records = [
            (int(r[2]), int(r[3]) if r[3] != "-" else None, r[4], float(r[5]), r[6], r[8]) for r in rows
        ]
        frame = pd.DataFrame(records, columns=["vcpu", "cpu", "state", "time", "hard", "soft"])
        return frame.astype({"cpu": "Int64"}).set_index("vcpu")

    def console(self) -> str:
        """What the guest has printed since it was made.

        Raises:
            XenlabError: dom0's console daemon keeps no log.

        """
        logs = read_logs(self._host, self.name)
        if logs == (None, None):
            path = CONSOLE_LOG.format(self.name)
            raise XenlabError(
                f"dom0 has no {path}: its xenconsoled must run with --log=guest, "
                "and the guest must have printed something"
            )
        return self._text(logs)

    def wait_for(self, text: str, seconds: float = 120) -> str:
        """Wait until the guest has printed `text`, and return all it has printed; raises `TooLate`."""
        end = self._host.now() + seconds
        while True:
            said = self._text(read_logs(self._host, self.name))
            if text in said:
                return said
            if self._host.now() > end:
                raise TooLate(
                    f"{self.name} has not printed {text!r} within {seconds:g} s; its last lines: {said[-300:]!r}"
                )
            self._host.wait(0.2)

    def _text(self, logs: Logs) -> str:
        ours = (log[old:] for log, old in zip(logs, self._printed_before, strict=True) if log is not None)
        return b"".join(ours).decode(errors="replace").replace("\r\n", "\n")


class Domains:
    """The domains of a host, and those among them that were made here.

    Args:
        host: Where commands run.
        prefix: What the names of domains made here begin with, so that they are told from others.

    """

    def __init__(self, host: Commands, prefix: str = "") -> None:
        self._host = host
        self._prefix = prefix
        self._made: list[Domain] = []

    def create(
        self,
        config: str | None = None,
        *,
        name: str | None = None,
        memory: int = 128,
        vcpus: int = 1,
        type: str = "pv",
        cpus: str | None = None,
        disks: Sequence[str] = (),
        vifs: Sequence[str] = (),
        workload: str = "idle",
        extra: str = "",
        maxmem: int | None = None,
        paused: bool = False,
    ) -> Domain:
        """Create a domain and let it run.

        Args:
            config: The text of an xl.cfg file; or leave it out and say the rest by name.
            name: Its name. On a host that others share, ``xenlab-`` is put in front if it is missing.
            memory: MiB, at least 16.
            vcpus: Virtual CPUs, 1 to 32.
            type: ``"pv"`` or ``"pvh"``.
            cpus: The physical CPUs it may use, such as ``"0"``.
            disks: xl-disk-configuration strings.
            vifs: xl-network-configuration strings.
            workload: What the shipped guest does; see `DomainConfig`.
            extra: More words for the guest's kernel command line.
            maxmem: MiB that it may grow to; as much as `memory` unless given.
            paused: Leave it paused, before its first instruction.

        Raises:
            BadConfig: A value breaks a rule.
            CommandFailed: `xl create` refused; the message shows the command and what it printed.

        """
        if config is None:
            if name is None:
                raise BadConfig("name must be given: host.create(name='web')")
            full = name if name.startswith(self._prefix) else self._prefix + name
            wish = DomainConfig(full, memory, vcpus, type, cpus, disks, vifs, workload, extra, maxmem)
            config = wish.text()
        full = name_in(config)
        if not full.startswith(self._prefix):
            raise BadConfig(f"name(={full!r}) must begin with {self._prefix!r} on a host that others share")
        return self._create(full, config, paused)

    def _create(self, name: str, config: str, paused: bool) -> Domain:
        path = CONFIG_FILE.format(name)
        if self._prefix:  # a box and the simulator have the folder
            self._host.run(["mkdir", "-p", "/var/lib/xenlab"])
        self._host.put(config.encode(), path)
        # The console daemon appends to the logs of earlier domains of this name.
        own, arrived = read_logs(self._host, name)
        printed_before = len(own or b""), len(arrived or b"")
        self._host.xl("create", *(["-p"] if paused else []), path)
        return self._remember(Domain(self._host, name, self._prefix, printed_before))

    def restore(self, path: str) -> Domain:
        """Bring a saved domain back from the file `path` in dom0."""
        before = {row.name for row in _rows(self._host)}
        self._host.xl("restore", path)
        (name,) = {row.name for row in _rows(self._host)} - before
        return self._remember(Domain(self._host, name, self._prefix, self._printed_before(name)))

    def _printed_before(self, name: str) -> tuple[int, int]:
        """Where in its console's logs the domain of this name that was made last begins: a restored one goes on."""
        return next((made._printed_before for made in reversed(self._made) if made.name == name), (0, 0))

    def _remember(self, domain: Domain) -> Domain:
        self._made.append(domain)
        return domain

    def table(self) -> pd.DataFrame:
        """All domains of the host, as `xl list` shows them."""
        rows = _rows(self._host)
        columns = ["name", "id", "memory", "vcpus", "state", "time"]
        records = [(row.name, row.id, row.memory, row.vcpus, row.state.value, row.seconds) for row in rows]
        return pd.DataFrame(records, columns=columns).set_index("name")

    def __getitem__(self, name: str) -> Domain:
        names = [row.name for row in _rows(self._host)]
        for candidate in (name, self._prefix + name):
            if candidate in names:
                return Domain(self._host, candidate, self._prefix, self._printed_before(candidate))
        raise NoSuchDomain(f"no domain is called {name!r}; there are {', '.join(names)}")

    def destroy_all(self) -> None:
        """Destroy those domains made here that are still there."""
        made, self._made = self._made, []
        if made:
            alive = {row.name for row in _rows(self._host)}
            for name in {domain.name for domain in made} & alive:
                self._host.xl("destroy", name)


class Xenstore:
    """dom0's xenstore: the small tree of strings through which domains and their devices find each other."""

    def __init__(self, host: Commands) -> None:
        self._host = host

    def ls(self, path: str = "/") -> str:
        """The tree below `path`, a line an entry."""
        return self._host.run(["xenstore-ls", path]).stdout

    def list(self, path: str) -> list[str]:
        """The names directly below `path`."""
        return self._host.run(["xenstore-list", path]).stdout.split()

    def read(self, path: str) -> str:
        """The value at `path`; raises `CommandFailed` if there is none."""
        return self._host.run(["xenstore-read", path]).stdout.removesuffix("\n")

    def write(self, path: str, value: str) -> None:
        """Set the value at `path`, making what is missing on the way."""
        self._host.run(["xenstore-write", path, value])


def _rows(host: Commands) -> list[table.Row]:
    return table.read(host.xl("list"))
