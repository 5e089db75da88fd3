"""The sandbox: each kind holds what it says, for root and for an ordinary user, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from joblib import Parallel, delayed
from nbformat.v4 import new_code_cell, new_notebook

from xenlab.grading import sandbox
from xenlab.grading.engine import Work, run
from xenlab.grading.jail import Limits
from xenlab.grading.results import State
from xenlab.grading.sandbox import NoSandbox, Sandbox

LIMITS = Limits(cell=3, wall=30)
SECRET = "a secret of the grader"
ATTEMPTS = """
import os, socket
def attempt(what):
    try:
        what()
    except OSError:
        return
    reached.append(what.__name__)
reached = []
def network(): socket.create_connection(('127.0.0.1', {port}), 2).close()
def write(): open({labs!r} + '/../.written', 'w').close()
def secret(): open({secret!r}).close()
def masters(): os.listdir({labs!r})
def parent(): open(f'/proc/{{os.getppid()}}/mem').close()
for what in (network, write, secret, masters, parent): attempt(what)
print(reached, os.environ.get('SECRET'), os.getuid() != 0)
"""


def outcomes(kind, *sources):
    cells = [new_code_cell(source, id=str(n)) for n, source in enumerate(sources)]
    return list(run(Work(new_notebook(cells=cells)), Sandbox(kind), LIMITS).values())


def printed(outcome):
    assert outcome.state is State.PASS, outcome.message
    return "".join(output["text"] for output in outcome.got if output.get("name") == "stdout")


@pytest.fixture
def attempts(tmp_path, monkeypatch):
    """Code that tries to get at a listening port, at files of the grader, at its environment."""
    monkeypatch.setenv("SECRET", SECRET)
    secret = tmp_path / "seed"
    secret.write_text(SECRET)
    labs = Path(__file__).parents[2] / "labs"
    assert labs.is_dir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield ATTEMPTS.format(port=server.getsockname()[1], secret=str(secret), labs=str(labs))


@pytest.mark.parametrize("kind", ["bubblewrap", "bubblewrap-each", "namespaces"])
def test_nothing_of_the_grader_is_reached(kind, attempts):
    assert printed(outcomes(kind, attempts)[0]) == "[] None True\n"


def test_what_is_kept_from_it_here_can_be_reached_without(attempts):
    namespace = {}
    exec(attempts.replace("network, write,", "network,"), namespace)
    assert {"network", "secret", "masters"} <= set(namespace["reached"])


@pytest.fixture
def below_tmp():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("kind", ["bubblewrap", "bubblewrap-each", "namespaces"])
def test_a_package_that_lies_below_tmp_is_seen_and_its_neighbours_are_not(kind, below_tmp, monkeypatch):
    """As where a clone of the book, or a virtual environment, lies in /tmp."""
    for name in ("package", "neighbour"):
        (below_tmp / name).mkdir()
    (below_tmp / "package" / "seen").write_text("x")
    paths = (*sandbox.visible(), str(below_tmp / "package"))
    monkeypatch.setattr(sandbox, "visible", lambda: paths)
    sandbox.close_servers()
    look = f"import os\nprint(os.listdir({str(below_tmp)!r}), os.listdir({str(below_tmp / 'package')!r}))"
    write = f"open({str(below_tmp / 'package' / 'more')!r}, 'w')"
    try:
        looked, written = outcomes(kind, look, write)
    finally:
        sandbox.close_servers()
    assert printed(looked) == "['package'] ['seen']\n"
    assert "Read-only file system" in written.message


def test_two_submissions_share_nothing():
    leave = "open('/tmp/left', 'w').write('x')\nimport subprocess\nsubprocess.Popen(['sleep', '100'])"
    look = "import os\nprint(os.path.exists('/tmp/left'), sum(p.isdigit() for p in os.listdir('/proc')))"
    first, mine = outcomes("bubblewrap", leave, look)
    assert first.state is State.PASS
    assert printed(mine) == "True 3\n"
    assert printed(outcomes("bubblewrap", look)[0]) == "False 2\n"


def test_two_submissions_at_a_time_do_not_meet():
    work = (
        'import os, time\nopen(f"/tmp/{time.time_ns()}", "w")\ntime.sleep(1)\nprint(len(os.listdir("/tmp")))'
    )
    both = Parallel(2)(delayed(outcomes)("bubblewrap", work) for _ in range(2))
    assert [printed(one[0]) for one in both] == [printed(outcomes("bubblewrap", work)[0])] * 2


def test_a_server_that_was_killed_is_started_again():
    assert printed(outcomes("bubblewrap", "print(1)")[0]) == "1\n"
    (server,) = [each for (_, kind), each in sandbox._servers.items() if kind == "bubblewrap"]
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()
    assert printed(outcomes("bubblewrap", "print(2)")[0]) == "2\n"


def test_nothing_is_left_when_the_servers_are_closed():
    outcomes("bubblewrap", "import subprocess\nsubprocess.Popen(['sleep', '4711'], start_new_session=True)")
    folders = [server.folder for server in sandbox._servers.values()]
    sandbox.close_servers()
    assert not any(folder.exists() for folder in folders)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "sleep 4711" not in listed


ABANDONED = """
import os, signal
from xenlab.grading.jail import Limits
from xenlab.grading.sandbox import Sandbox
from xenlab.grading.watch import WatchedKernel
kernel = WatchedKernel(Sandbox("KIND"), Limits())
kernel.execute_cell_input("import subprocess\\nsubprocess.run(['sleep', '4712'])")
while "sleep 4712" not in os.popen("ps -eo args").read():
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["bubblewrap", "bubblewrap-each", "namespaces"])
def test_a_grader_that_is_killed_leaves_no_kernel_behind(kind):
    done = subprocess.run([sys.executable, "-c", ABANDONED.replace("KIND", kind)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while "sleep 4712" in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_kind_that_is_none_is_refused(monkeypatch):
    with pytest.raises(NoSandbox, match="'chroot' is no sandbox: take one of bubblewrap"):
        sandbox.tried("chroot")


def test_where_there_is_no_bubblewrap_it_says_what_it_is_instead(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.best.cache_clear()
    sandbox.close_servers()
    try:
        found = sandbox.best()
    finally:
        sandbox.best.cache_clear()
    assert found.words == "Linux namespaces of its own for each submission (no bubblewrap here)"


SCRIPT = """
import json, os
from xenlab.grading.sandbox import KINDS, Sandbox, close_servers, tried
from xenlab.grading.engine import Work, run
from xenlab.grading.jail import Limits
from nbformat.v4 import new_code_cell, new_notebook
source = "import socket, os\\nprint(len(socket.if_nameindex()), len(os.listdir('/proc')) < 100, os.path.isdir('/var'))"
said = {}
for kind in KINDS:
    tried(kind)
    notebook = new_notebook(cells=[new_code_cell(source, id="a"), new_code_cell("import os; os._exit(1)", id="b")])
    done = run(Work(notebook), Sandbox(kind), Limits(cell=5))
    said[kind] = [done["a"].got[0]["text"].split(), done["b"].state]
    close_servers()
print(json.dumps([os.getuid(), said]))
"""


def test_an_ordinary_user_has_the_same_sandbox():
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run([*_as_ordinary_user(), *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    user, said = json.loads(done.stdout)
    assert user != 0
    for kind in ("bubblewrap", "bubblewrap-each", "namespaces"):
        interfaces, few_processes, var = said[kind][0]
        assert (int(interfaces), few_processes, var) == (1, "True", "False"), kind
    assert said["limits"][0][2] == "True", "limits alone hide nothing, and their words say so"
    assert {state for _, state in said.values()} == {"crash"}
    assert sandbox.Sandbox("limits").words.startswith("NO SANDBOX")


def _as_ordinary_user():
    """A command that runs another as a user without rights, for whom Python's files are readable."""
    if os.geteuid() != 0:
        return []
    wanted = [Path(path) for path in sandbox.visible()]
    closed = {
        next(parent for parent in reversed(path.parents) if not parent.stat().st_mode & 1)
        for path in wanted
        if any(not parent.stat().st_mode & 1 for parent in path.parents)
    }
    command = ["bwrap", "--dev-bind", "/", "/", "--setenv", "HOME", "/tmp"]
    for folder in closed:
        command += ["--perms", "0755", "--tmpfs", str(folder)]
    for path in wanted:
        for folder in closed & set(path.parents):
            for parent in reversed(path.parents):
                command += ["--dir", str(parent)] if folder in parent.parents else []
            command += ["--ro-bind", str(path), str(path)]
    return [*command, "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--"]
