"""Jupyter kernels that are forked from a server in a sandbox, for whatever starts kernels by `jupyter_client`.

`jupyter_client` lets a *provisioner* start a kernel, ask whether it lives, and end it. `ForkedKernel` does these by
asking the server of `xenlab.grading.sandbox`; all else, messages and channels, is Jupyter's own. The sockets are
files, because a kernel has no network.
"""

from __future__ import annotations

import asyncio
import shutil
from importlib.metadata import EntryPoint
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerBase, KernelProvisionerFactory

from xenlab.grading.jail import Limits
from xenlab.grading.sandbox import Sandbox

NAME = "xenlab-forked"


class ForkedKernel(KernelProvisionerBase):  # type: ignore[misc]
    """A kernel of a server: how `jupyter_client` starts it, asks after it, and ends it."""

    _pid: int | None = None
    _status: int | None = None
    why: str = ""  # what it was ended for

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel."""
        return self._pid is not None

    connection_info: dict[str, Any]

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose the sockets; there is no command line."""
        self.parent.write_connection_file()
        self.connection_info = self.parent.get_connection_info()
        prepared: dict[str, Any] = await super().pre_launch(cmd=[], **kwargs)
        return prepared

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Have the kernel forked; it is ready when this returns."""
        manager: ForkedKernelManager = self.parent
        connection = {**self.connection_info, "key": self.connection_info["key"].decode()}
        self._pid = manager.server.start(connection, manager.limits)
        self._status, self.why = None, ""
        return self.connection_info

    async def poll(self) -> int | None:
        """Return None while the kernel lives, then its exit status."""
        if self._pid is not None and self._status is None:
            answer = self.parent.server.ask(do="poll", pid=self._pid)
            self._status, self.why = answer["status"], answer["why"]
        return self._status

    async def wait(self) -> int | None:
        """Wait for the kernel's end."""
        while await self.poll() is None:
            await asyncio.sleep(0.01)
        self._pid = None
        return self._status

    def end(self) -> None:
        """End the kernel and all it started, and forget it."""
        if self._pid is not None:
            self.parent.server.ask(do="end", pid=self._pid)
            self._pid = None

    async def send_signal(self, signum: int) -> None:
        """End the kernel, whatever the signal: it is interrupted by a message, and nothing else is of use."""
        self.end()

    async def kill(self, restart: bool = False) -> None:
        """End the kernel and all it started."""
        self.end()

    async def terminate(self, restart: bool = False) -> None:
        """End the kernel and all it started."""
        self.end()

    async def cleanup(self, restart: bool = False) -> None:
        """Nothing is left to clean up: the manager removes its folder."""


class _Specs(KernelSpecManager):  # type: ignore[misc]
    """The one kernel there is, which no file describes."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            display_name="Python in a sandbox",
            language="python",
            argv=[],
            interrupt_mode="message",
            metadata={"kernel_provisioner": {"provisioner_name": NAME}},
        )


class ForkedKernelManager(KernelManager):  # type: ignore[misc]
    """A Jupyter kernel manager whose kernel is forked from a server."""

    def __init__(self, sandbox: Sandbox, limits: Limits, context: zmq.Context[Any]) -> None:
        factory = KernelProvisionerFactory.instance()
        factory.provisioners[NAME] = EntryPoint(NAME, f"{__name__}:ForkedKernel", factory.GROUP_NAME)
        self.sandbox, self.limits = sandbox, limits
        self.server = sandbox.take()
        self._folder = self.server.new_folder()
        super().__init__(
            kernel_name=NAME,
            kernel_spec_manager=_Specs(),
            context=context,
            transport="ipc",
            ip=str(self._folder / "s"),
            connection_file=str(self.server.folder / f"{self._folder.name}.json"),
        )

    @property
    def why(self) -> str:
        """What the kernel was ended for, if the server ended it."""
        return self.provisioner.why if self.provisioner is not None else ""

    def close(self) -> None:
        """End the kernel, and remove what it leaves."""
        if self.provisioner is not None:
            self.provisioner.end()
        self.sandbox.give_back(self.server)
        shutil.rmtree(self._folder, ignore_errors=True)
