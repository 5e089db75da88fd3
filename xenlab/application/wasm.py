"""WebAssembly, run by wasmtime: the same idea with a compiler behind it, and walls around it.

A module can touch its own memory, and call what it was given. Both are checked: a wrong address, or too many
instructions, is a *trap*, and the host goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

#: One page of memory, 64 KiB (WebAssembly Core Specification, 4.2.8), holding the text "hello".
#: `triangle` adds up 1 to n; `peek` reads a byte; `forever` does not end; `greet` asks the host to say its text.
MODULE = """
(module
  (import "host" "say" (func $say (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "hello")
  (func (export "triangle") (param $n i64) (result i64)
    (local $sum i64)
    (block $done
      (loop $again
        (br_if $done (i64.eqz (local.get $n)))
        (local.set $sum (i64.add (local.get $sum) (local.get $n)))
        (local.set $n (i64.sub (local.get $n) (i64.const 1)))
        (br $again)))
    (local.get $sum))
  (func (export "peek") (param $at i32) (result i32)
    (i32.load8_u (local.get $at)))
  (func (export "forever") (loop $again (br $again)))
  (func (export "greet") (call $say (i32.const 16) (i32.const 5))))
"""


@dataclass(frozen=True)
class Called:
    """What came of a call: a number, nothing, or a trap with its reason; what the module said; the fuel it used."""

    answer: int | None
    trap: str | None
    said: tuple[str, ...]
    fuel: int


class Module:
    """A WebAssembly module, compiled for this processor, with one function of the host given to it.

    Args:
        text: The module in WebAssembly's text form; it may import ``host.say``, which takes an address and a length.

    >>> module = Module()
    >>> module.call("triangle", 100).answer
    5050
    >>> module.call("peek", 65536).trap
    'out of bounds memory access'
    """

    def __init__(self, text: str = MODULE) -> None:
        import wasmtime

        config = wasmtime.Config()
        config.consume_fuel = True
        if _is_short_of_addresses():
            config.memory_reservation = config.memory_reservation_for_growth = config.memory_guard_size = 0
        self._engine = wasmtime.Engine(config)
        self._module = wasmtime.Module(self._engine, text)

    def call(self, name: str, *arguments: int, fuel: int = 10_000_000) -> Called:
        """Call an exported function in a fresh instance, with so much fuel: about an instruction a unit."""
        import wasmtime

        store = wasmtime.Store(self._engine)
        store.set_fuel(fuel)
        said: list[str] = []
        linker = wasmtime.Linker(self._engine)

        def say(caller: wasmtime.Caller, address: int, length: int) -> None:
            memory = caller["memory"]
            assert isinstance(memory, wasmtime.Memory)
            said.append(bytes(memory.read(caller, address, address + length)).decode())

        kind = wasmtime.FuncType([wasmtime.ValType.i32(), wasmtime.ValType.i32()], [])
        linker.define_func("host", "say", kind, say, access_caller=True)
        function = linker.instantiate(store, self._module).exports(store)[name]
        assert isinstance(function, wasmtime.Func)
        answer = trap = None
        try:
            answer = function(store, *arguments)
        except wasmtime.Trap as trapped:
            trap = _reason(trapped)
        return Called(answer, trap, tuple(said), fuel - store.get_fuel())


def _is_short_of_addresses() -> bool:
    """Whether there is no room for the 4 GiB hole that lets the hardware check addresses, as in a sandbox.

    Without it the compiled code compares each address itself: slower, with the same traps.
    """
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return limit not in (resource.RLIM_INFINITY, -1) and limit < 16 << 30


def _reason(trapped: Exception) -> str:
    """The reason of a trap, out of wasmtime's longer words."""
    line = str(trapped).strip().splitlines()[-1]
    return line.removeprefix("wasm trap: ").split(": ")[-1].strip()
