"""This machine as dom0: its own `xl`, run as root."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from xenlab.commands import Completed, XenlabError
from xenlab.hosts.dom0 import Dom0


class NotDom0(XenlabError):
    """This machine is not the dom0 of a running Xen, or this user may not drive it."""


class LocalDom0(Dom0):
    """The dom0 this Python runs in.

    Raises:
        NotDom0: Xen does not run below this system, or `xl` is missing or refused.

    """

    kind: ClassVar[str] = "local"

    def __init__(self) -> None:
        capabilities = Path("/proc/xen/capabilities")
        if not capabilities.exists() or "control_d" not in capabilities.read_text():
            raise NotDom0(
                "this machine is not dom0: /proc/xen/capabilities does not say control_d; "
                "use a box, an SSH host or the simulator"
            )
        if shutil.which("xl") is None:
            raise NotDom0("this dom0 has no `xl`: install xen-utils")
        probe = self.run(["xl", "list"])
        if not probe.ok:
            raise NotDom0(f"`xl list` is refused here: {probe.stderr.strip()}; start the notebook as root")

    def run(self, argv: Sequence[str], stdin: str = "") -> Completed:
        """Run a command on this machine."""
        try:
            done = subprocess.run(argv, input=stdin.encode(), capture_output=True, check=False)
        except FileNotFoundError:
            return Completed(tuple(argv), "", f"{argv[0]}: command not found\n", 127)
        return Completed(
            tuple(argv),
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
            done.returncode,
        )

    def put(self, data: bytes, path: str) -> None:
        """Write `data` to the file `path`."""
        Path(path).write_bytes(data)

    def get(self, path: str) -> bytes:
        """Read the file `path`."""
        return Path(path).read_bytes()

    def now(self) -> float:
        """Seconds on this machine's monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def close(self) -> None:
        """Nothing is held."""
