"""The chapters run top to bottom under nbval, on the simulator and on a real Xen: the same stored outputs."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from book import ROOT, chapters

HERE = Path(__file__).parent


def nbval(path, kind, cell_timeout):
    """Run a notebook under nbval in a process of its own; return it and the processor time it took, in seconds."""
    plugins = ["-c", str(ROOT / "pyproject.toml"), "-p", "early", "-p", "nbval"]
    options = [
        "--nbval",
        f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}",
        f"--nbval-cell-timeout={cell_timeout}",
    ]
    environment = {**os.environ, "XENLAB_HOST": kind, "PYTHONPATH": str(HERE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = processor_seconds()
    process = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, "-q", "--color=no", "--timeout=0", str(path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    return process, processor_seconds() - before


def processor_seconds():
    """Processor time of all children that have ended, and theirs: what others do on this machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_a_chapter_runs_on_the_simulator_in_under_20_seconds(path):
    process, seconds = nbval(path, "sim", 100)
    assert process.returncode == 0, process.stdout + process.stderr
    assert seconds < 20


@pytest.mark.box
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_a_chapter_runs_on_a_real_xen(path):
    process, _ = nbval(path, "box", 300)
    assert process.returncode == 0, process.stdout + process.stderr


def test_a_wrong_stored_output_is_noticed(tmp_path):
    """The whole chain can fail: otherwise the tests above would prove nothing."""
    import nbformat

    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "# NBVAL_CHECK_OUTPUT\nprint(6 * 7)",
                execution_count=1,
                outputs=[nbformat.v4.new_output("stream", name="stdout", text="41\n")],
            )
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    process, _ = nbval(tmp_path / "wrong.ipynb", "sim", 20)
    assert process.returncode == 1
    assert "assert reference_output == test_output failed" in process.stdout
