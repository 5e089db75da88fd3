"""What a call costs: of a library, of the kernel, and of the kernel with another process looking on."""

from __future__ import annotations

from xenlab.commands import CommandFailed
from xenlab.library.workshop import Workshop
from xenlab.ui.costs import Cost

RUNS = 5


def measure(shop: Workshop) -> tuple[Cost, ...]:
    """Measure four ways to call something, in this order, on this machine; half a second in all.

    A library's function; the same function with a preloaded library before it, which passes the call on; the smallest
    system call; and that system call seen by another process, as a tracer or a monitor in user space would see it.

    Raises:
        NoCompiler: There is no C compiler here.
        CommandFailed: The kernel lets no process trace another here.

    """
    answer = shop.build("answer")
    before = shop.build("pass_on")
    program = str(shop.program("costs", links=[answer]))
    ways = (
        ("a library's function", "library", 2_000_000, ()),
        ("the same, with a library before it", "library", 2_000_000, (before,)),
        ("a system call", "kernel", 200_000, ()),
        ("a system call that another process sees", "traced", 2_000, ()),
    )
    costs = []
    for way, mode, rounds, preload in ways:
        runs = []
        for _ in range(RUNS):
            done = shop.run([program, mode, str(rounds)], preload)
            if not done.ok:
                raise CommandFailed(done)
            runs.append(float(done.stdout))
        costs.append(Cost(way, tuple(runs)))
    return tuple(costs)
