"""The chapters run top to bottom under nbval, on the simulator and on a real Xen: the same stored outputs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from book import ROOT, chapters

HERE = Path(__file__).parent


def nbval(path, kind, cell_timeout):
    """Run a notebook under nbval in a process of its own; return that process."""
    plugins = ["-c", str(ROOT / "pyproject.toml"), "-p", "early", "-p", "nbval"]
    options = [
        "--nbval",
        f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}",
        f"--nbval-cell-timeout={cell_timeout}",
    ]
    environment = {**os.environ, "XENLAB_HOST": kind, "PYTHONPATH": str(HERE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, "-q", "--color=no", "--timeout=0", str(path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_a_chapter_runs_on_the_simulator(path):
    process = nbval(path, "sim", 100)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.box
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_a_chapter_runs_on_a_real_xen(path):
    process = nbval(path, "box", 300)
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
    process = nbval(tmp_path / "wrong.ipynb", "sim", 20)
    assert process.returncode == 1
    assert "assert reference_output == test_output failed" in process.stdout
