"""nbval runs a notebook's cells and compares what they print; this adds what nbval does not watch for.

The notebook is collected by nbval's own pytest plugin, one item for each cell, and run by nbval's own
`IPyNbCell.runtest`, on a kernel in a sandbox (`xenlab.grading.watch`). Added are: the reference outputs, put into the
items when they have been collected, so that they are on no disk; another kernel for one that is dead, in
which what ran before is run again without the cells that brought a kernel down; a time for the whole notebook.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError, coalesce_streams

from xenlab.grading.evidence import MIME, evidence_in
from xenlab.grading.jail import Limits
from xenlab.grading.judge import Outcome, Outputs
from xenlab.grading.lab import Notebook
from xenlab.grading.results import State
from xenlab.grading.sandbox import Sandbox
from xenlab.grading.watch import Ended, WatchedKernel

_ENDINGS = (State.CRASH, State.TIMEOUT, State.OUTPUT_LIMIT)
_UNWANTED = (
    "cacheprovider", "capture", "debugging", "doctest", "faulthandler", "junitxml", "logging", "pastebin", "setuponly",
    "setupplan", "stepwise", "terminalreporter", "threadexception", "unraisableexception", "warnings",
)  # fmt: skip

_ONE_AT_A_TIME = Lock()  # pytest is not for several threads, as a Dask worker has them


@dataclass(frozen=True)
class Work:
    """A notebook to run: the outputs that cells must have, by cell id, and the answer cells that a check stands on."""

    notebook: Notebook
    references: Mapping[str, Outputs] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def run(work: Work, sandbox: Sandbox, limits: Limits) -> dict[str, Outcome]:
    """Run a notebook; return how each of its code cells ended, by cell id."""
    plugin = _Run(work, sandbox, limits)
    with tempfile.TemporaryDirectory(prefix="xenlab-") as folder:
        path = Path(folder) / "notebook.ipynb"
        nbformat.write(_bare(work.notebook), path)
        options = ["--disable-plugin-autoload", "-p", "nbval.plugin", f"--nbval-cell-timeout={limits.cell}"]
        options += [option for name in _UNWANTED for option in ("-p", f"no:{name}")]
        options += ["-c", "/dev/null", f"--rootdir={folder}", "--noconftest", "--color=no", str(path)]
        with _ONE_AT_A_TIME:
            pytest.main(options, plugins=[plugin])
    if plugin.trouble is not None:
        raise plugin.trouble
    return plugin.outcomes


class SandboxedNotebook(IPyNbFile):  # type: ignore[misc]
    """nbval's notebook, on a watched kernel in the sandbox."""

    sandbox: Sandbox
    limits: Limits

    def setup(self) -> None:
        """Start the kernel."""
        self.kernel = WatchedKernel(self.sandbox, self.limits)


class _Run:
    """A pytest plugin that runs one notebook and keeps how each of its cells ended."""

    def __init__(self, work: Work, sandbox: Sandbox, limits: Limits) -> None:
        self._work, self._sandbox, self._limits = work, sandbox, limits
        self._deadline = time.monotonic() + limits.wall
        self._rerun: list[IPyNbCell] = []
        self.outcomes: dict[str, Outcome] = {}
        self.trouble: BaseException | None = None

    def pytest_collect_file(self, file_path: Path, parent: Any) -> SandboxedNotebook:
        """Take the notebook as nbval would, with another kernel."""
        notebook: SandboxedNotebook = SandboxedNotebook.from_parent(parent, path=file_path)
        notebook.sandbox, notebook.limits = self._sandbox, self._limits
        return notebook

    def pytest_collection_modifyitems(self, items: list[IPyNbCell]) -> None:
        """Put the references in. No marker in a cell has a say in whether it is run and compared."""
        for item in items:
            expected = self._work.references.get(item.cell.id)
            item.options = defaultdict(bool, check=expected is not None)
            item.cell.execution_count = None if expected is None else 1
            item.cell.outputs = [nbformat.from_dict(output) for output in expected or ()]
            item.compare_outputs = _of_evidence(item.compare_outputs)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item: IPyNbCell) -> None:
        """See that the cell can be run: the answers it stands on ended well, there is time, there is a kernel."""
        for answer in self._work.needs.get(item.cell.id, ()):
            if (ended := self.outcomes.get(answer)) is not None and ended.state in _ENDINGS:
                raise Ended(ended.state, ended.message)
        self._look_at_the_clock()
        if not item.parent.kernel.is_alive():
            self._restart(item.parent)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: IPyNbCell) -> Generator[None, Any, Any]:
        """Run the cell, and see that the kernel has outlived it."""
        result = yield
        item.parent.kernel.ping()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: IPyNbCell, call: Any) -> Generator[None, Any, Any]:
        """Keep how the cell ended."""
        if call.when == "call" or (call.when == "setup" and call.excinfo is not None):
            error = call.excinfo.value if call.excinfo else None
            self.outcomes[item.cell.id] = outcome = _outcome(item, error)
            if outcome.state not in _ENDINGS:
                self._rerun.append(item)
        return (yield)

    def pytest_internalerror(self, excinfo: Any) -> None:
        """Keep what went wrong here, not in the notebook."""
        self.trouble = excinfo.value

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        """Keep Ctrl-C, which pytest would take for its own."""
        self.trouble = excinfo.value

    def _look_at_the_clock(self) -> None:
        if time.monotonic() > self._deadline:
            raise Ended(
                State.TIMEOUT, f"the notebook as a whole ran longer than {self._limits.wall:g} seconds"
            )

    def _restart(self, notebook: SandboxedNotebook) -> None:
        """Start another kernel and run again what ran before; what ends this one too is left out from then on."""
        while True:
            notebook.kernel = WatchedKernel(self._sandbox, self._limits)
            for item in tuple(self._rerun):
                self._look_at_the_clock()
                try:
                    notebook.kernel.rerun(item.cell.source)
                except Ended:
                    self._rerun.remove(item)
                    break
            else:
                return


def _of_evidence(compare: Callable[[Outputs, Outputs], bool]) -> Callable[[Outputs, Outputs], bool]:
    """Have nbval compare the evidence alone, not what an answer prints beside it."""

    def of_evidence(test: Outputs, reference: Outputs) -> bool:
        return compare(_shown(test), _shown(reference))

    return of_evidence


def _shown(outputs: Outputs) -> Outputs:
    return [
        nbformat.from_dict({"output_type": "display_data", "data": {MIME: line}})
        for line in evidence_in(outputs)
    ]


def _bare(notebook: Notebook) -> Notebook:
    """Return the notebook without outputs: what it should print is on no disk."""
    bare = nbformat.from_dict(notebook)
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return bare


def _outcome(item: IPyNbCell, error: BaseException | None) -> Outcome:
    got = [*coalesce_streams(item.test_outputs or [])]
    raised = next((output for output in got if output.output_type == "error"), None)
    if isinstance(error, Ended):
        state, message = error.state, str(error)
    elif raised is not None:
        state, message = State.ERROR, f"{raised.ename}: {raised.evalue}"
    elif isinstance(error, NbCellError):
        state, message = State.FAIL, ""
    elif error is not None:
        state, message = State.ERROR, f"what it prints cannot be read: {error!r}"
    else:
        state, message = State.PASS, ""
    return Outcome(item.cell.id, state, [*map(dict, item.cell.outputs)], [*map(dict, got)], message)
