"""Measure everything (or the named parts), print the table and write it to bench/RESULTS.md.

python -m bench            all parts
python -m bench box        one part: bench/box.py
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
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
    sections, missed = [], 0
    for part in parts:
        print(f"measuring {part} …", flush=True)
        rows = importlib.import_module(f"bench.{part}").rows()
        missed += sum(not row.met for row in rows)
        sections.append(f"## {part}\n\n{table(rows)}")
        print(sections[-1], flush=True)
    if parts == PARTS:
        head = f"# Measured against target\n\nMachine: {machine()}. Written by `make bench`; medians.\n"
        (HERE / "RESULTS.md").write_text("\n".join([head, *sections]))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or PARTS))
