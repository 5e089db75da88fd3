"""What conda and Binder install is what pip installs, and importing the package is light."""

import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_environment_yml_and_pyproject_name_the_same_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pip,) = [
        entry["pip"]
        for entry in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
        if isinstance(entry, dict)
    ]
    assert sorted(pip) == sorted(project["dependencies"])


def test_importing_xenlab_is_light_and_prints_nothing():
    heavy = {"matplotlib", "pandas", "ipywidgets", "numpy", "asyncssh", "simpy"}
    code = f"import sys, xenlab; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr == ""
