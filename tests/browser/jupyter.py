"""A JupyterLab of our own on 127.0.0.1, and a Chromium that reads in it, each with throw-away folders."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright

from xenlab.prompt import OPTION

ROOT = Path(__file__).resolve().parents[2]
ARTEFACTS = ROOT / "artefacts"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# jsonschema's format checker builds a large grammar when rfc3987_syntax can be imported (3 s in every process
# that reads a notebook); without it the format "iri" goes unchecked, and no notebook uses that.
START_LAB = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterlab.labapp import main; main()"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, the token that opens it, the folder it shows."""

    url: str
    token: str
    folder: Path

    def page_of(self, notebook: str) -> str:
        """The address at which a notebook opens, without its siblings' tabs."""
        return f"{self.url}/lab/tree/{notebook}?token={self.token}&reset"


@contextmanager
def serve(home: Path) -> Iterator[Lab]:
    """JupyterLab over a copy of the chapters and labs, in the folder `home`, that running them may change."""
    book = home / "book"
    for part in ("chapters", "labs"):
        shutil.copytree(ROOT / part, book / part, ignore=shutil.ignore_patterns(".*", "master.ipynb"))
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        "XENLAB_HOST": "sim",
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    options = [
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--LabApp.expose_app_in_browser=True",
        f"--ServerApp.root_dir={book}",
        "--allow-root",
        OPTION,
    ]
    with (home / "lab.log").open("w") as log:
        command = [sys.executable, "-c", START_LAB, *options]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_up(server, f"http://127.0.0.1:{port}/api?token={token}", home / "lab.log")
        yield Lab(f"http://127.0.0.1:{port}", token, book)
    finally:
        server.terminate()
        server.wait(20)


def _wait_until_up(server, url, log, deadline=60):
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not come up within {deadline} s:\n{log.read_text()[-3000:]}")


@contextmanager
def browse(profile: Path) -> Iterator[BrowserContext]:
    """Debian's Chromium with its profile in the folder `profile`; ends with the block."""
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("chromium must be installed for the browser tests: apt-get install chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=program,
            args=FLAGS,
            viewport={"width": 1280, "height": 800},
        )
        yield context
        context.close()


#: Lettering of drawings that leaves them.
OUTSIDE = """(drawings) => [...document.querySelectorAll(drawings)].flatMap((svg) => {
  const {width, height} = svg.viewBox.baseVal;
  return [...svg.querySelectorAll('text')].filter((text) => text.textContent).filter((text) => {
    const box = text.getBBox();
    return box.x < -1 || box.y < -1 || box.x + box.width > width + 1 || box.y + box.height > height + 1;
  }).map((text) => text.textContent);
})"""

#: Has the notebook stayed where it is, and as long as it is, for a second?
AT_REST = """() => {
  const view = document.querySelector('.jp-WindowedPanel-outer');
  const now = `${view.scrollTop} ${view.scrollHeight}`;
  if (view.dataset.place !== now) {
    view.dataset.place = now;
    view.dataset.since = performance.now();
  }
  return performance.now() - view.dataset.since > 1000;
}"""


class Reader:
    """Somebody who reads a chapter in JupyterLab: opens it, runs it, looks at it, notes what goes wrong."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page, self.lab = page, lab
        self.complaints: list[str] = []
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, notebook: str) -> None:
        """Open a chapter and wait for its kernel."""
        self.page.goto(self.lab.page_of(notebook))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self._wait_for_kernel()

    def command(self, name: str, **arguments: object) -> None:
        """Execute one of JupyterLab's commands."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments]
        )

    def run_all(self) -> None:
        """Run every cell; JupyterLab's promise is kept when the last one has finished.

        Then it scrolls to that cell, again and again while outputs above still grow: wait until it leaves off.
        """
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(AT_REST, timeout=60_000)

    def ask(self, expression: str) -> str:
        """What the notebook's kernel makes of an expression."""
        return self.page.evaluate(
            """async (expression) => {
                const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                const future = kernel.requestExecute({code: '', user_expressions: {it: expression}});
                return (await future.done).content.user_expressions.it.data['text/plain'];
            }""",
            expression,
        )

    def lettering_outside(self, drawings: str) -> list[str]:
        """Words in the drawings that this selector finds which leave their drawing."""
        return self.page.evaluate(OUTSIDE, drawings)

    def errors(self) -> list[str]:
        """Tracebacks that the cells show."""
        output = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']"
        return self.page.locator(output).all_inner_texts()

    def theme(self, name: str) -> None:
        """Change JupyterLab's theme: 'Light' or 'Dark'."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")
        light = "true" if name == "Light" else "false"
        self.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
        self.page.wait_for_timeout(200)

    def screenshot(self, name: str, of=None) -> None:
        """Keep what is seen now, with this element at the top of the view."""
        ARTEFACTS.mkdir(exist_ok=True)
        if of is not None:
            of.first.evaluate("element => element.scrollIntoView({block: 'start'})")
            self.page.wait_for_timeout(120)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png")

    def walk(self, name: str) -> None:
        """Keep the notebook from top to bottom, a screenshot a screenful."""
        scroller = self.page.locator(".jp-WindowedPanel-outer").first
        scroller.evaluate("element => { element.scrollTop = 0; }")
        number = 0
        while True:
            self.page.wait_for_timeout(120)
            number += 1
            self.screenshot(f"{name}-{number:02}")
            moved = scroller.evaluate(
                """element => {
                    const before = element.scrollTop;
                    element.scrollTop += element.clientHeight - 60;
                    return element.scrollTop - before;
                }"""
            )
            if moved < 5:
                return

    def _wait_for_kernel(self) -> None:
        idle = (
            "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )
        self.page.wait_for_function(idle, timeout=60_000)
