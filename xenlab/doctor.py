"""What this machine offers the reader, tried out, and what to do about the rest.

Each question is one function of a `Machine`, the few things that a question may ask of the computer under it. What can
be tried is tried: KVM runs a few instructions, a sandbox starts a kernel, a server answers ``xl``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from xenlab.commands import XenlabError

#: Seconds that a trial may take.
DEADLINE = 20.0
#: The box's machine has 1 GiB; beside it stand QEMU's own, JupyterLab, a browser and a notebook's kernel.
ENOUGH_MEMORY, ENOUGH_CORES = 3072, 2


class Standing(Enum):
    """How a thing stands: it works as tried, it is there but does not work, or there is none."""

    WORKS = "works"
    FAILS = "does not work"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One thing that the book can use.

    `cost` is what the reader goes without while it does not work, `command` the one command that gets it; empty
    where no command can.
    """

    what: str
    standing: Standing
    found: str
    cost: str = ""
    command: str = ""

    @property
    def works(self) -> bool:
        """Can the book use it?"""
        return self.standing is Standing.WORKS

    @property
    def advice(self) -> str:
        """What the reader goes without and how to get it, in words; empty where it works.

        >>> print(Finding("QEMU", Standing.MISSING, "none", "the box", "sudo apt-get install qemu-system-x86").advice)
        Without QEMU you miss the box.
          Get it: sudo apt-get install qemu-system-x86
        """
        if self.works:
            return ""
        way = f"Get it: {self.command}" if self.command else "No command gets it on this machine."
        return f"Without {self.what} you miss {self.cost}.\n  {way}"


@dataclass(frozen=True)
class Ended:
    """How a trial ended: its exit status, and what it printed."""

    status: int
    output: str

    @property
    def last_line(self) -> str:
        """What it said last, for a person to read."""
        return (self.output.strip().splitlines() or ["it ended without a word"])[-1]


def _run(argv: Sequence[str]) -> Ended:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return Ended(1, f"it had not ended after {DEADLINE:g} s")
    except OSError as error:
        return Ended(1, str(error))
    return Ended(done.returncode, done.stdout + done.stderr)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _kvm_trial() -> str:
    from xenlab.fullvirt import kvm

    return kvm.run(kvm.hello("xenlab")).missing


def _image() -> tuple[str, int]:
    from xenlab.hosts.box import image

    found = image.find()
    return ("small" if found.small_guest else "stock"), found.bytes_on_disk


def _local() -> str:
    from xenlab.hosts.local import LocalDom0

    return _first_words(LocalDom0().run(["xl", "info", "xen_version"]).stdout)


def _ssh(address: str) -> str:
    from xenlab.hosts.ssh import SshDom0

    dom0 = SshDom0(address)
    try:
        answer = dom0.run(["xl", "info", "xen_version"])
    finally:
        dom0.close()
    if not answer.ok:
        raise XenlabError(answer.stderr.strip() or "`xl info` failed there")
    return _first_words(answer.stdout)


def _simulator() -> str:
    from xenlab.hosts.sim import SimDom0

    return SimDom0().run(["xl", "list"]).stdout


def _sandbox() -> tuple[str, str]:
    from xenlab.grading import sandbox

    try:
        best = sandbox.best()
    finally:
        sandbox.close_servers()
    return best.kind, best.words


def _first_words(text: str) -> str:
    return (text.strip().splitlines() or ["?"])[0]


@dataclass(frozen=True)
class Machine:
    """What the questions ask of a computer; a test puts answers of its own in place of these.

    Attributes:
        which: The path of a program, or None.
        run: Runs a program to its end, without input and with a deadline.
        read: The text of a file; empty if it cannot be read.
        exists: Is there such a file?
        environment: The variables that xenlab reads.
        cores: Processors that this process may use.
        kvm_trial: Runs a few instructions on KVM; why it could not, or an empty string.
        image: Which kernel the guests of the box's image have, and its bytes on disk. Raises `XenlabError` without one.
        sandbox: The kind of the strongest sandbox for grading, and it in words. Raises `XenlabError` if none works.
        local: The version of the Xen whose dom0 this is. Raises `XenlabError` if it is none.
        ssh: The version of the Xen at an address. Raises `XenlabError` if it cannot be asked.
        simulator: What ``xl list`` prints on the simulator.

    """

    which: Callable[[str], str | None] = shutil.which
    run: Callable[[Sequence[str]], Ended] = _run
    read: Callable[[str], str] = _read
    exists: Callable[[str], bool] = os.path.exists
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    cores: Callable[[], int] = lambda: len(os.sched_getaffinity(0))
    kvm_trial: Callable[[], str] = _kvm_trial
    image: Callable[[], tuple[str, int]] = _image
    sandbox: Callable[[], tuple[str, str]] = _sandbox
    local: Callable[[], str] = _local
    ssh: Callable[[str], str] = _ssh
    simulator: Callable[[], str] = _simulator


def simulator(machine: Machine) -> Finding:
    """Does the simulated host answer?"""
    what, cost, command = "the simulator", "every chapter where no real Xen is to be had", "make setup"
    try:
        answer = machine.simulator()
    except Exception as error:  # whatever broke it is the finding
        return Finding(what, Standing.FAILS, f"{type(error).__name__}: {error}", cost, command)
    if "Domain-0" not in answer:
        return Finding(what, Standing.FAILS, "its `xl list` does not show Domain-0", cost, command)
    return Finding(what, Standing.WORKS, "answers `xl list`")


def dom0(machine: Machine) -> Finding:
    """Is this machine a Xen host itself?"""
    what, cost = "dom0", "nothing: the box is a real Xen too; guests on bare metal are faster"
    try:
        return Finding(what, Standing.WORKS, f"this machine is dom0 of Xen {machine.local()}")
    except XenlabError as error:
        if "control_d" in machine.read("/proc/xen/capabilities"):
            return Finding(what, Standing.FAILS, str(error), cost, "sudo apt-get install xen-utils")
        return Finding(what, Standing.MISSING, "Xen does not run below this system", cost)


def ssh_host(machine: Machine) -> Finding:
    """Does the server that ``XENLAB_HOST`` names answer?"""
    what, cost = "an SSH host", "nothing, unless your class shares a Xen server"
    name = machine.environment.get("XENLAB_HOST", "")
    if not name.startswith("ssh://"):
        return Finding(
            what, Standing.MISSING, "XENLAB_HOST names none", cost, "export XENLAB_HOST=ssh://root@SERVER"
        )
    address = name.removeprefix("ssh://")
    try:
        return Finding(what, Standing.WORKS, f"{address} runs Xen {machine.ssh(address)}")
    except (XenlabError, OSError, ValueError) as error:
        cost = f"every chapter: while XENLAB_HOST says so, connect() takes {name} and no other"
        return Finding(
            what, Standing.FAILS, _first_words(str(error)), cost, f"ssh {_for_ssh(address)} xl info"
        )


def _for_ssh(address: str) -> str:
    host, colon, port = address.rpartition(":")
    return f"-p {port} {host}" if colon else address


def qemu(machine: Machine) -> Finding:
    """Is there a QEMU for the box?"""
    what, cost = "QEMU", "the box: «On real Xen» shows simulated numbers in chapters 04, 05 and 09 to 16"
    command = "sudo apt-get install qemu-system-x86"
    path = machine.which("qemu-system-x86_64")
    if path is None:
        return Finding(what, Standing.MISSING, "no qemu-system-x86_64", cost, command)
    ended = machine.run([path, "--version"])
    if ended.status:
        return Finding(what, Standing.FAILS, ended.last_line, cost, command)
    return Finding(what, Standing.WORKS, _first_words(ended.output).removeprefix("QEMU emulator "))


def kvm(machine: Machine) -> Finding:
    """Does KVM run instructions? That its file is there proves nothing."""
    what = "KVM"
    cost = "speed: the box runs on emulated processors; chapter 04 runs its guest on one"
    if not machine.exists("/dev/kvm"):
        module = next((f"kvm_{maker}" for flag, maker in (("vmx", "intel"), ("svm", "amd"))
                       if flag in machine.read("/proc/cpuinfo").split()), "")  # fmt: skip
        found = (
            "no /dev/kvm, though the processor has what it takes"
            if module
            else "the processor offers none here"
        )
        return Finding(what, Standing.MISSING, found, cost, f"sudo modprobe {module}" if module else "")
    missing = machine.kvm_trial()
    if not missing:
        return Finding(what, Standing.WORKS, "created a machine and ran its instructions")
    refused = "ermission denied" in missing
    return Finding(what, Standing.FAILS, f"there, not proven: {missing}", cost,
                   "sudo usermod --append --groups kvm $USER" if refused else "")  # fmt: skip


def box_image(machine: Machine) -> Finding:
    """Has the box's image been built?"""
    try:
        kernel, size = machine.image()
    except XenlabError as error:
        cost = "the box: connect() falls back to the simulator"
        return Finding("a box image", Standing.MISSING, _first_words(str(error)), cost, "xenlab box build")
    return Finding("a box image", Standing.WORKS, f"{size / 2**20:.0f} MiB, guests with the {kernel} kernel")


def sandbox(machine: Machine) -> Finding:
    """What holds a student's notebook while it is graded? The grader's own trial says: a kernel really starts in it."""
    what, cost = "a sandbox", "walls around students' notebooks: they are graded behind resource limits alone"
    try:
        kind, words = machine.sandbox()
    except (XenlabError, OSError) as error:
        kind, words, cost = "none", str(error), "grading: no kernel starts for it"
    if kind not in ("limits", "none"):
        return Finding(what, Standing.WORKS, words)
    missing = machine.which("bwrap") is None
    command = "sudo apt-get install bubblewrap" if missing else _allow_namespaces(machine)
    return Finding(what, Standing.FAILS, _first_words(words), cost, command)


def namespaces(machine: Machine) -> Finding:
    """May an ordinary user make namespaces?"""
    what, cost = "user namespaces", "the container that the kernel makes in chapter 06: a model stands in"
    ended = machine.run(["unshare", "--user", "--map-root-user", "true"])
    if ended.status == 0:
        return Finding(what, Standing.WORKS, "unshare made one")
    return Finding(what, Standing.FAILS, ended.last_line, cost, _allow_namespaces(machine))


def _allow_namespaces(machine: Machine) -> str:
    """The setting that forbids them: Ubuntu's, Debian's, or the kernel's own limit."""
    for setting, forbidden, allowed in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "10000"),
    ):
        if machine.read(f"/proc/sys/{setting}").strip() == forbidden:
            return f"sudo sysctl {setting.replace('/', '.')}={allowed}"
    return ""


def compiler(machine: Machine) -> Finding:
    """Does a C compiler compile?"""
    what, cost, command = (
        "a C compiler",
        "the libraries that chapter 07 builds and runs, and the small guest kernel",
        ("sudo apt-get install gcc libc6-dev"),
    )
    path = machine.which("cc")
    if path is None:
        return Finding(what, Standing.MISSING, "no cc", cost, command)
    ended = machine.run([path, "-x", "c", "-include", "stdio.h", "-fsyntax-only", "/dev/null"])
    if ended.status:
        return Finding(what, Standing.FAILS, ended.last_line, cost, command)
    return Finding(what, Standing.WORKS, _first_words(machine.run([path, "--version"]).output))


def browser(machine: Machine) -> Finding:
    """Is there the browser in which the book is tested?"""
    what = "Chromium"
    cost = "nothing as a reader, who takes any browser; `make test` and `make bench` need it"
    path = machine.which("chromium")
    if path is None:
        return Finding(what, Standing.MISSING, "no chromium", cost, "sudo apt-get install chromium")
    ended = machine.run([path, "--version"])
    if ended.status:
        return Finding(
            what, Standing.FAILS, ended.last_line, cost, "sudo apt-get install --reinstall chromium"
        )
    return Finding(
        what, Standing.WORKS, _first_words(ended.output).removeprefix("Chromium ").split(" built")[0]
    )


def memory(machine: Machine) -> Finding:
    """Is there memory for the box beside a notebook?"""
    kib = {name: int(value.split()[0]) for name, _, value in
           (line.partition(":") for line in machine.read("/proc/meminfo").splitlines()) if value}  # fmt: skip
    mib = kib.get("MemTotal", 0) // 1024
    found = f"{mib} MiB, {kib.get('MemAvailable', 0) // 1024} available"
    if mib >= ENOUGH_MEMORY:
        return Finding("enough memory", Standing.WORKS, found)
    cost = f"a box that is safe: it takes 1 GiB, and below {ENOUGH_MEMORY} MiB it may be killed"
    return Finding("enough memory", Standing.FAILS, found, cost, "export XENLAB_HOST=sim")


def cores(machine: Machine) -> Finding:
    """Are there two processors, so that the box does not starve the notebook?"""
    count = machine.cores()
    found = f"{count} processor{'s' if count != 1 else ''}"
    if count >= ENOUGH_CORES:
        return Finding("two processors", Standing.WORKS, found)
    return Finding("two processors", Standing.FAILS, found, "speed: the box and the notebook take turns")


QUESTIONS = (
    *(qemu, kvm, box_image, dom0, ssh_host, simulator),
    *(sandbox, namespaces, compiler, browser, memory, cores),
)


def examine(machine: Machine | None = None) -> list[Finding]:
    """Ask all questions; about three seconds, or `DEADLINE` where a trial hangs.

    >>> [finding.what for finding in examine() if finding.what == "the simulator" and finding.works]
    ['the simulator']
    """
    machine = machine or Machine()
    return [question(machine) for question in QUESTIONS]


def any_host(findings: Sequence[Finding]) -> bool:
    """Is there any host at all to read the book with?"""
    works = {finding.what for finding in findings if finding.works}
    return bool(works & {"dom0", "an SSH host", "the simulator"}) or {"QEMU", "a box image"} <= works
