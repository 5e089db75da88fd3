"""A word with a running QEMU, from wherever the caller is."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qemu.qmp import QMPClient


def execute(run: Path, command: str, **arguments: object) -> object:
    """Give the QEMU with the run folder `run` one command of its machine protocol and return its answer.

    Works in a notebook too, whose own event loop is running: the conversation has a thread and a loop of its
    own. Raises `qemu.qmp.ExecuteError` if QEMU refuses, `qemu.qmp.ConnectError` if it is gone.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _execute(str(run / "qmp"), command, arguments)).result()


async def _execute(path: str, command: str, arguments: dict[str, object]) -> object:
    client = QMPClient("xenlab")
    await client.connect(path)
    try:
        return await client.execute(command, arguments)
    finally:
        await client.disconnect()
