"""Open the book: build the box in the background if there is none yet, and serve JupyterLab meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from xenlab.commands import XenlabError
from xenlab.hosts.box import image
from xenlab.prompt import OPTION

FIRST_CHAPTER = "chapters/00_start_here.ipynb"


def serve(browser: bool) -> int:
    """Serve JupyterLab until it is ended; returns its exit status.

    Args:
        browser: Open a browser window too. The page's address is printed in any case.

    """
    if not Path(FIRST_CHAPTER).exists():
        raise XenlabError(f"the book is not here: {FIRST_CHAPTER} is missing; run this in a clone of xenlab")
    _build_in_background()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    argv = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{FIRST_CHAPTER}", OPTION]
    if not browser:
        argv.append("--no-browser")
    if os.getuid() == 0:
        argv.append("--allow-root")
    lab = subprocess.Popen(argv, env=environment)
    while True:
        try:
            return lab.wait()
        except KeyboardInterrupt:
            continue  # Jupyter has got the same Ctrl-C and asks whether it is meant


def _build_in_background() -> None:
    try:
        print(f"xenlab: the box is ready ({image.find().folder})", flush=True)
    except image.NoImage:
        print("xenlab: building the box; until it is ready the notebooks use the simulator", flush=True)
        threading.Thread(target=_build, daemon=True).start()


def _build() -> None:
    try:
        image.build(lambda step, done: print(f"xenlab: box {done:4.0%} {step}", flush=True))
        print("xenlab: the box is ready: the next xenlab.connect() starts a real Xen", flush=True)
    except (XenlabError, OSError, LookupError) as error:
        print(f"xenlab: no box: {error}\nxenlab: the notebooks use the simulator", flush=True)
