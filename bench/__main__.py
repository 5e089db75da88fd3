"""Measure everything (or the named parts), print the tables, and keep each in bench/RESULTS.md in place of its last.

python -m bench            all parts
python -m bench box        one part: bench/box.py
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from datetime import date
from pathlib import Path

from bench.row import table

HERE = Path(__file__).parent
PARTS = [path.stem for path in sorted(HERE.glob("*.py")) if path.stem not in ("__init__", "__main__", "row")]


def machine() -> str:
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} × {models[0]}, Python {platform.python_version()}, {system}"


def main(parts: list[str]) -> int:
    missed = 0
    for part in parts:
        print(f"measuring {part} …", flush=True)
        rows = importlib.import_module(f"bench.{part}").rows()
        missed += sum(not row.met for row in rows)
        print(f"## {part}\n\n{table(rows)}", flush=True)
        keep(part, f"Measured {date.today()}.\n\n{table(rows)}")
    return 1 if missed else 0


def keep(part: str, text: str) -> None:
    """Put a part's table into the file of results."""
    file = HERE / "RESULTS.md"
    _, *sections = file.read_text().split("\n## ") if file.exists() else [""]
    known = {name: rest.strip() for name, _, rest in (section.partition("\n") for section in sections)}
    known[part] = text
    head = f"# Measured against target\n\nMachine: {machine()}. Written by `make bench`; medians.\n"
    tables = [f"## {name}\n\n{known[name].strip()}\n" for name in PARTS if name in known]
    file.write_text("\n".join([head, *tables]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or PARTS))
