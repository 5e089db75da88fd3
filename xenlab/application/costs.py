"""The same sum, four times: by the book's stack machine, by CPython, by WebAssembly, and by the processor itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from xenlab.application.compiler import compile_source
from xenlab.application.stackvm import Machine
from xenlab.application.wasm import Module
from xenlab.library.workshop import NoCompiler, Workshop
from xenlab.ui.costs import Cost

RUNS = 5
TRIANGLE = "total = 0\nwhile 0 < n:\n    total = total + n\n    n = n - 1\nprint(total)\n"
#: The barrier keeps the compiler from knowing the formula.
NATIVE = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(int count, char **words) {
    long n = atol(words[count - 1]), rounds = n, total = 0;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    while (0 < n) { total += n--; __asm__ volatile("" : "+r"(total)); }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%ld %.6f\\n", total, ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / rounds);
    return 0;
}
"""


def triangle(n: int) -> int:
    """The sum of 1 to n, the long way."""
    total = 0
    while n > 0:
        total = total + n
        n = n - 1
    return total


def measure() -> tuple[Cost, ...]:
    """Measure what a round of that loop costs on each of the machines; without a C compiler the last is missing."""
    code, module = compile_source(f"n = 20000\n{TRIANGLE}"), Module()
    costs = [
        Cost("the book's stack machine", _timed(lambda: Machine(code).run().output[0], 20_000)),
        Cost("CPython", _timed(lambda: triangle(200_000), 200_000)),
        Cost(
            "WebAssembly, compiled by wasmtime",
            _timed(lambda: module.call("triangle", 2_000_000, fuel=1 << 40).answer or 0, 2_000_000),
        ),
    ]
    with Workshop() as shop:
        try:
            program = str(shop.program("triangle", NATIVE))
        except NoCompiler:
            return tuple(costs)
        runs = tuple(float(shop.run([program, "20000000"]).stdout.split()[1]) for _ in range(RUNS))
        return (*costs, Cost("C, compiled for this processor", runs))


def _timed(work: Callable[[], int], rounds: int) -> tuple[float, ...]:
    figures = []
    for _ in range(RUNS):
        start = time.perf_counter_ns()
        answer = work()
        figures.append((time.perf_counter_ns() - start) / rounds)
        assert answer == rounds * (rounds + 1) // 2
    return tuple(figures)
