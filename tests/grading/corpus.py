"""A small lab, and what may be handed in for it: honest, broken and hostile. Each with what it earns.

The lab has three tasks. Most hostile notebooks are right in the first and the last and try something in the middle one,
`share`, so that it shows whether what they do reaches beyond it. Those that try to reach something forbidden answer
rightly only if they were kept from it.
"""

# ruff: noqa: E501

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

RIGHT = {
    "total": "def total(numbers):\n    return sum(numbers)",
    "share": "share = 0.25",
    "longest": "def longest(words):\n    return max(words, key=len)",
}
CHECKS = {
    "total": ("# CHECK total (2 points)\n# HINT: sum() adds\nevidence(total([1, 2, 3]))",
              "# HIDDEN total (1 point)\n# HINT: what is the sum of nothing?\nevidence([total([]), total([7, -7, 5])])"),
    "share": ("# CHECK share (2 points)\n# HINT: 256 of 1024\nevidence(share)",),
    "longest": ("# CHECK longest (1 point)\nevidence(longest(['a', 'bbb', 'cc']))",
                "# HIDDEN longest (2 points)\nevidence(longest(['dom0', 'domU', 'hypervisor']))"),
}  # fmt: skip
TASKS = tuple(RIGHT)


def master() -> Any:
    """The lab with its solutions and all its checks."""
    cells = [
        new_markdown_cell("# Small lab", id="title"),
        new_code_cell("from xenlab.grading.evidence import evidence", id="imports"),
    ]
    for task in TASKS:
        source = f"# TASK {task}\n### BEGIN SOLUTION\n{RIGHT[task]}\n### END SOLUTION"
        cells.append(new_code_cell(source, id=f"{task}-answer"))
        cells += [new_code_cell(text, id=f"{task}-check-{n}") for n, text in enumerate(CHECKS[task])]
    return new_notebook(cells=cells)


def handed_in(**answers: str) -> Any:
    """What a student hands in who answers so, and rightly where nothing else is said."""
    cells = [
        new_markdown_cell("# Small lab", id="title"),
        new_code_cell("from xenlab.grading.evidence import evidence", id="imports"),
    ]
    for task in TASKS:
        answer = answers.get(task, RIGHT[task])
        cells.append(new_code_cell(f"# TASK {task}\n{answer}", id=f"{task}-answer"))
        cells.append(new_code_cell(CHECKS[task][0], id=f"{task}-check-0"))
    return new_notebook(cells=cells)


@dataclass(frozen=True)
class Case:
    """What is handed in, and the states of the tasks it must get, with the points."""

    name: str
    submission: bytes
    states: str
    points: float


def case(
    name: str, states: str, points: float, change: Callable[[Any], Any] | None = None, **answers: str
) -> Case:
    notebook = handed_in(**answers)
    if change is not None:
        notebook = change(notebook) or notebook
    return Case(name, json.dumps(notebook).encode(), states, points)


def kept_from(name: str, attempt: str) -> Case:
    """An attempt that must raise OSError, or leave `found` empty: only then the answer is the right one."""
    lines = "\n    ".join(attempt.splitlines())
    source = f"found = None\ntry:\n    {lines}\nexcept OSError:\n    pass\nshare = found or 0.25"
    return case(name, ALL, 8, share=source)


ALL = "pass pass pass"
NOTHING = "skipped skipped skipped"


def _bare_json(cells: list[Any]) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def _as_list(notebook: Any) -> None:
    _cell(notebook, "share-answer")["source"] = ["# TASK share\n", 1, "/0"]


def _as_nbformat_3() -> bytes:
    return str(nbformat.writes(handed_in(), version=3)).encode()


def _cell(notebook: Any, cell: str) -> Any:
    return next(one for one in notebook.cells if one.id == cell)


def _edit(cell: str, source: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        _cell(notebook, cell).source = source

    return change


def _delete(cell: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        notebook.cells.remove(_cell(notebook, cell))

    return change


def _tag(cell: str, tag: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        _cell(notebook, cell).metadata.tags = [tag]

    return change


def _double(cell: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        twin = copy.deepcopy(_cell(notebook, cell))
        notebook.cells.insert(notebook.cells.index(_cell(notebook, cell)), twin)

    return change


def _retype(cell: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        place = notebook.cells.index(_cell(notebook, cell))
        notebook.cells[place] = new_markdown_cell(notebook.cells[place].source, id=cell)

    return change


def _kernel(name: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        notebook.metadata.kernelspec = {"name": name, "display_name": name, "language": "julia"}

    return change


def _shuffled(notebook: Any) -> None:
    notebook.cells.reverse()


IGNORES_INTERRUPTS = """
import time
while True:
    try:
        while True:
            time.sleep(0.01)
    except BaseException:
        pass
"""
MEMORY_BY_MANY = """
import os, time
for _ in range(16):
    if os.fork() == 0:
        held = bytearray(b"x") * (300 << 20)
        time.sleep(30)
time.sleep(30)
"""
TRANSFORM = """
share = 1
get_ipython().input_transformers_cleanup.append(lambda lines: {lines})
"""
FORGED = """
import time
from ipykernel.kernelapp import IPKernelApp
app = IPKernelApp.instance()
for parts in ([b"nonsense"], [b"a", b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"], [b"a", b"<IDS|MSG>", b"0", b"[", b"", b"", b""]):
    app.iopub_socket.send_multipart(parts)
session, parent = app.session, app.kernel.get_parent()
for kind, content in (("stream", {}), ("stream", {"name": 1, "text": 2}), ("display_data", {"data": []}), ("error", {}), ("status", {})):
    session.send(app.iopub_socket, kind, content, parent=parent)
share = 0.25
"""
HANG_UP = """
import os
for number in range(3, 200):
    try:
        os.close(number)
    except OSError:
        pass
"""

CASES = (
    # honest
    case("reference", ALL, 8),
    case(
        "nothing right",
        "fail fail fail",
        0,
        total="def total(n): return 1",
        share="share = 1",
        longest="def longest(w): return 'x'",
    ),
    case("stub", "error error error", 0, total="...", share="...", longest="..."),
    case("right in public alone", "partial pass pass", 7, total="def total(numbers):\n    return 6"),
    case("does not compile", "pass error pass", 6, share="share = = 1"),
    case("raises", "pass error pass", 6, share="raise ValueError('no')"),
    case("raises after the answer", ALL, 8, share="share = 0.25\nraise ValueError('no')"),
    # to be equal to anything
    case(
        "always-equal object",
        "pass fail pass",
        6,
        share="class A:\n    __eq__ = lambda *a: True\n    __hash__ = None\nshare = A()",
    ),
    case(
        "number that shows another",
        "pass fail pass",
        6,
        share="class A(float):\n    __repr__ = __str__ = lambda s: '0.25'\n    __eq__ = lambda *a: True\nshare = A(1)",
    ),
    case("transformer that blanks", "pass fail fail", 3, share=TRANSFORM.format(lines="[]")),
    case("transformer that replaces", "pass fail fail", 3, share=TRANSFORM.format(lines="['print(True)']")),
    case(
        "patched json",
        "pass timeout pass",
        6,
        share="import json\njson.dumps = lambda *a, **k: 'true'\nshare = 1",
    ),
    case(
        "patched evidence",
        "pass fail fail",
        3,
        share="evidence = lambda *a: print(True)\nimport xenlab.grading.evidence as e\ne.evidence = evidence\nshare = 1",
    ),
    case(
        "patched print",
        "pass fail pass",
        6,
        share="import builtins\nbuiltins.print = lambda *a, **k: None\nshare = 1",
    ),
    case(
        "patched comparison",
        "pass fail pass",
        6,
        share="import builtins, operator\noperator.eq = lambda *a: True\nbuiltins.all = builtins.any = lambda *a: True\nshare = 1",
    ),
    case("printed marker", "pass fail pass", 6, share="print('PASSED 100 %')\nprint('0.25')\nshare = 1"),
    # another notebook than was given out
    case(
        "edited check",
        "pass fail pass",
        6,
        _edit("share-check-0", "# CHECK share (2 points)\nprint(0.25)"),
        share="share = 1",
    ),
    case("emptied check", "pass fail pass", 6, _edit("share-check-0", ""), share="share = 1"),
    case(
        "richer check",
        "pass fail pass",
        6,
        _edit("share-check-0", "# CHECK share (2000 points)\nevidence(share)"),
        share="share = 1",
    ),
    case("deleted check", ALL, 8, _delete("share-check-0")),
    case("deleted answer", "pass skipped pass", 6, _delete("share-answer")),
    case("duplicated answer", ALL, 8, _double("share-answer")),
    case("duplicated check", ALL, 8, _double("share-check-0")),
    case("retyped answer", ALL, 8, _retype("share-answer")),
    case("cells in another order", ALL, 8, _shuffled),
    case("skip tag", "pass fail pass", 6, _tag("share-check-0", "nbval-skip"), share="share = 1"),
    case("skip comment", "pass fail pass", 6, share="# NBVAL_SKIP\nshare = 1"),
    case("exception tag", "pass error pass", 6, _tag("share-answer", "raises-exception"), share="1 / 0"),
    case("another kernel", ALL, 8, _kernel("julia-1.11")),
    # ends that are not ends
    case("os._exit", "pass crash pass", 6, share="share = 0.25\nimport os\nos._exit(0)"),
    case("quit()", ALL, 8, share="share = 0.25\nquit()"),
    case("SystemExit", ALL, 8, share="share = 0.25\nraise SystemExit"),
    case("kills itself", "pass crash pass", 6, share="share = 0.25\nimport os\nos.kill(os.getpid(), 9)"),
    case(
        "kills all others",
        ALL,
        8,
        share="share = 0.25\nimport os\ntry:\n    os.kill(-1, 9)\nexcept OSError:\n    pass",
    ),
    case("segmentation fault", "pass crash pass", 6, share="import ctypes\nctypes.string_at(0)"),
    case("crash in the check", "crash pass pass", 5, total="import os\ndef total(numbers):\n    os._exit(0)"),
    case("closes all files", "pass crash pass", 6, share=HANG_UP),
    case("loop", "pass timeout pass", 6, share="while True:\n    pass"),
    case("loop that ignores interrupts", "pass timeout pass", 6, share=IGNORES_INTERRUPTS),
    case("sleeps for ever", "pass timeout pass", 6, share="import time\ntime.sleep(10**6)"),
    case("asks for input", "pass error pass", 6, share="share = float(input())"),
    case("endless recursion", "pass error pass", 6, share="def f():\n    return f()\nf()"),
    case(
        "stops the event loop",
        "pass crash pass",
        6,
        share="import asyncio\nshare = 0.25\nasyncio.get_event_loop().stop()",
    ),
    # too much
    case(
        "fork bomb",
        "pass timeout pass",
        6,
        share="import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    ),
    case(
        "thread bomb",
        "pass error pass",
        6,
        share="import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    ),
    case("memory bomb", "pass error pass", 6, share="held = bytearray(20 << 30)"),
    case("memory bomb of many processes", "pass crash pass", 6, share=MEMORY_BY_MANY),
    case("100 MB in one line", "pass output-limit pass", 6, share="print('x' * 10**8)"),
    case(
        "1 GB in many lines",
        "pass output-limit pass",
        6,
        share="for _ in range(10**7):\n    print('x' * 100)",
    ),
    case(
        "flood of pictures",
        "pass output-limit pass",
        6,
        share="from IPython.display import display\nwhile True:\n    display({'text/plain': 'x' * 1000}, raw=True)",
    ),
    case(
        "flood of errors",
        "pass output-limit pass",
        6,
        share="import os\nwhile True:\n    os.write(2, b'x' * 10000)\n    __import__('sys').stderr.write('x' * 10000)",
    ),
    case(
        "endless message of an exception", "pass output-limit pass", 6, share="raise ValueError('x' * 10**8)"
    ),
    case(
        "fills the disk",
        "pass error pass",
        6,
        share="for n in range(100):\n    open(f'/tmp/{n}', 'wb').write(b'x' * (32 << 20))",
    ),
    # out of the sandbox
    kept_from("writes beside its folder", "open('/usr/lib/x', 'w')\nfound = 'wrote'"),
    kept_from("writes into the package", "import xenlab\nopen(xenlab.__file__, 'a')\nfound = 'wrote'"),
    kept_from(
        "fills the folder of its sockets",
        "import os\nfrom ipykernel.kernelapp import IPKernelApp\nopen(os.path.dirname(IPKernelApp.instance().ip) + '/x', 'w')\nfound = 'wrote'",
    ),
    kept_from(
        "looks for homes",
        "import os\nfound = [f for f in ('/home', '/root/.ssh', '/root/.bashrc', '/var', '/etc/passwd', '/etc/shadow', '/mnt', '/srv') if os.path.exists(f)]",
    ),
    kept_from(
        "looks for notebooks",
        "import os\nfound = []\nfor folder, below, files in os.walk('/'):\n    below[:] = [b for b in below if b not in ('proc', 'usr', 'lib', 'share', '.pyenv')]\n    found += [f for f in files if f.endswith('.ipynb')]",
    ),
    kept_from(
        "reads its environment",
        "import os\nfound = [name for name in os.environ if 'SECRET' in name or 'XDG' in name or 'SSH' in name]",
    ),
    kept_from(
        "sees other processes",
        "import os\nfound = [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 2 and int(p) != os.getpid()]",
    ),
    kept_from("reads another's memory", "open('/proc/1/mem', 'rb')\nfound = 'read'"),
    kept_from("reads another's environment", "open('/proc/1/environ', 'rb').read()\nfound = 'read'"),
    kept_from("traces", "import ctypes\nfound = ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0"),
    kept_from("network", "import socket\nsocket.create_connection(('1.1.1.1', 53), 2)\nfound = 'reached'"),
    kept_from(
        "names in the network", "import socket\nsocket.getaddrinfo('example.org', 80)\nfound = 'resolved'"
    ),
    kept_from("becomes root", "import os\nos.setuid(0)\nfound = 'root'"),
    kept_from("makes itself a root", "import ctypes\nfound = ctypes.CDLL(None).unshare(0x10000000) == 0"),
    kept_from(
        "mounts", "import ctypes\nfound = ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0"
    ),
    kept_from(
        "lifts its limits",
        "import resource\ntry:\n    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n    found = 'lifted'\nexcept ValueError:\n    pass",
    ),
    kept_from(
        "runs a program with rights",
        "import subprocess\nfound = subprocess.run(['/usr/bin/su', '-c', 'true'], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0",
    ),
    # what it leaves behind
    case(
        "another connection file",
        ALL,
        8,
        share="import glob, os\nfor f in glob.glob(os.path.expanduser('~/.kernel.json')):\n    open(f, 'w').write('{}')\nshare = 0.25",
    ),
    case(
        "thread that prints",
        ALL,
        8,
        share="import threading, time\ndef talk():\n    while True:\n        print('x')\n        time.sleep(0.01)\nthreading.Thread(target=talk, daemon=True).start()\nshare = 0.25",
    ),
    case(
        "atexit", ALL, 8, share="import atexit, time\natexit.register(lambda: time.sleep(100))\nshare = 0.25"
    ),
    case("leaves its folder", ALL, 8, share="import os\nos.chdir('/')\nshare = 0.25"),
    case(
        "stops the clocks",
        ALL,
        8,
        share="import time\ntime.time = time.monotonic = time.perf_counter = lambda: 0\nshare = 0.25",
    ),
    case(
        "forgets the package",
        ALL,
        8,
        share="import sys\nfor name in [n for n in sys.modules if n.startswith('xenlab')]:\n    del sys.modules[name]\nshare = 0.25",
    ),
    case("empties the namespace", "pass pass error", 5, longest="%reset -f", share="share = 0.25"),
    case("spoils an earlier task", ALL, 8, share="share = 0.25\ntotal = None"),
    case("spoils a later task", ALL, 8, share="share = 0.25\nlongest = None"),
    case(
        "closes standard output",
        ALL,
        8,
        share="import sys, io\nsys.stdout = io.StringIO()\nshare = 0.25",
    ),
    case("forged messages", ALL, 8, share=FORGED),
    case("lone surrogate", "pass error pass", 6, share="share = '\\ud800'\nprint(repr(share))"),
    case("shell", ALL, 8, share="!echo hello\nshare = 0.25"),
    # not a notebook, or an old one
    case("lone surrogate in the source", "pass fail pass", 6, share="share = '\ud800'"),
    case("NUL in the source", "pass error pass", 6, share="share = 0.25\0"),
    case("sources that are lists of numbers", NOTHING, 0, _as_list),
    Case("cells that are no cells", _bare_json([1, None, [], "x"]), NOTHING, 0),
    Case("a cell without a source", _bare_json([{"cell_type": "code"}]), NOTHING, 0),
    Case(
        "a cell of an unknown kind",
        _bare_json([{"cell_type": "?", "source": "# TASK share\nshare = 1"}]),
        NOTHING,
        0,
    ),
    Case(
        "metadata that is none", _bare_json([{"cell_type": "code", "source": "x", "metadata": 3}]), NOTHING, 0
    ),
    Case("no cells", _bare_json([]), NOTHING, 0),
    Case("empty file", b"", NOTHING, 0),
    Case("malformed JSON", b'{"cells": [', NOTHING, 0),
    Case("JSON, but a list", b"[]", NOTHING, 0),
    Case("deep JSON", b"[" * 100_000, NOTHING, 0),
    Case("not text", bytes(range(256)), NOTHING, 0),
    Case(
        "cells are no list",
        b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}',
        NOTHING,
        0,
    ),
    Case("100 MB", b" " * (100 << 20), NOTHING, 0),
    Case("nbformat 3", _as_nbformat_3(), ALL, 8),
)
