"""Two boxes joined by a cable: a pair of sockets between their QEMUs, which nothing else can reach."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from xenlab.commands import XenlabError
from xenlab.hosts.box import qmp, recipe
from xenlab.hosts.box.box import AttachedBox, Box
from xenlab.hosts.box.tap import pieces as tap_pieces
from xenlab.migration.heard import Heard, hear

#: What each end gets, in /usr/local/bin; `wire` is what `xl migrate -s` calls in place of ssh.
PROGRAMS = ("wire", "wired", "wire-copy", "wire-up")
NAMES = ("hosta", "hostb")
#: Where `wired` listens.
PORT = 514


class BoxLink:
    """Two new boxes and the cable between their second network cards.

    The dom0s are called hosta and hostb there. Each runs the other's commands (``wire HOST COMMAND``), without
    a password and in the clear: the cable has two ends and no other. Raises what `Box` raises.
    """

    def __init__(self) -> None:
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.boxes: list[Box] = []
        self._killed: set[int] = set()
        try:
            for end in ends:
                self.boxes.append(Box(link=end))
            for number, box in enumerate(self.boxes, start=1):
                self._wire(box, number)
        except BaseException:
            for box in self.boxes:
                box.close()
            raise
        finally:
            for end in ends:
                end.close()

    @staticmethod
    def _wire(box: Box, number: int) -> None:
        paths = [f"/usr/local/bin/{name}" for name in PROGRAMS]
        for name, path in zip(PROGRAMS, paths, strict=True):
            box.put(recipe.read(name), path)
        box.run(["chmod", "+x", *paths])
        done = box.run(["wire-up", NAMES[number - 1], str(number), f"{time.time():.3f}"])
        if not done.ok:
            raise XenlabError(f"the private link could not be set up: {done.stderr}")

    def cut(self) -> None:
        """Cut the cable."""
        self._plug(False)

    def mend(self) -> None:
        """Mend it."""
        self._plug(True)

    def _plug(self, up: bool) -> None:
        for box in self._alive():
            qmp.execute(box.run_folder, "set_link", name="link", up=up)

    def _alive(self) -> list[Box]:
        return [box for number, box in enumerate(self.boxes) if number not in self._killed]

    def kill(self, number: int) -> None:
        """End one of the two as if its power were cut: 0 is hosta, 1 hostb."""
        self._killed.add(number)
        os.kill(int((self.boxes[number].run_folder / "qemu.pid").read_text()), signal.SIGKILL)

    def midway(self, target: int, action: Callable[[], None]) -> Callable[[], bool]:
        """Do something once this host has begun to build a guest that arrives; see `xenlab.hosts.pair.Link`."""
        enough, looker = threading.Event(), AttachedBox(self.boxes[target].name)

        def watch() -> bool:
            while "--incoming" not in looker.run(["xl", "list"]).stdout:
                if enough.wait(0.3):
                    return False
            time.sleep(1.0)  # the first pages are on their way
            action()
            return True

        thread = ThreadPoolExecutor(1)
        watcher = thread.submit(watch)

        def stop() -> bool:
            enough.set()
            thread.shutdown()
            looker.close()
            return watcher.result()

        return stop

    def listen(self) -> Callable[[], Heard]:
        """Listen on the cable; see `xenlab.hosts.pair.Link`. What goes over it meanwhile is kept in a file."""
        run = self._alive()[0].run_folder
        capture = run / "link.pcap"
        tap: dict[str, Any] = {"qom-type": "filter-dump", "id": "tap", "netdev": "link", "maxlen": 65536}
        qmp.execute(run, "object-add", **tap, file=str(capture))

        def heard() -> Heard:
            try:
                qmp.execute(run, "object-del", id="tap")
                return hear(tap_pieces(capture, PORT))
            finally:
                capture.unlink()

        return heard
