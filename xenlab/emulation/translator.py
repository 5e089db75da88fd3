"""Binary translation: a guest's instructions become Python functions, which are kept and run again and again.

An interpreter decodes an instruction each time it comes by. A translator decodes it once. It takes a *basic block*, the
instructions from a place that is jumped to up to the next jump, and writes a function of the host's own code that does
the same: here Python, in a real emulator (QEMU, for one) machine code. The function goes into a cache under the
block's address. Where a block ends in a jump to a known place, the next one is written into the same function
(`chained`), so that a loop is a loop in the host's code, too.

Three things make this hard in every real translator, and they are here as well:

* **Precise traps.** A load faults in the middle of a function whose registers live in local variables. Nothing is kept
  for this case. The traceback says which line it was, a table which instruction that line came from, and the frame what
  the variables were: all is put back, and the interpreter runs the faulting instruction again.
* **Self-modifying code.** A store into a page from which code was translated throws that code away.
* **System instructions** are not translated. They end a block and are left to the interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from xenlab.emulation.cpu import Cpu, interpret, substitute
from xenlab.emulation.isa import MASK, Decoded, Instruction, decode
from xenlab.emulation.mmu import PAGE, Words
from xenlab.emulation.traps import Cause, Trap

#: A function may hold as many instructions, and so many blocks one inside the other.
LONGEST, DEEPEST = 128, 8

Run = Callable[..., tuple[int, int]]


@dataclass(frozen=True)
class Translation:
    """A block, or several chained ones, as a function.

    `lines` maps a line of `source` to the address of the instruction it came from and the number of instructions before
    it; `registers` are those that the function changes; `addresses` all instructions in it.
    """

    start: int
    source: str
    lines: dict[int, tuple[int, int]]
    registers: tuple[int, ...]
    addresses: frozenset[int]
    run: Run = field(repr=False)


class Translator:
    """An engine for `Cpu` that translates; assign it to `cpu.engine`.

    `hits` and `misses` count how often a block was wanted that was in the cache, or was not. With `callouts`, a
    privileged instruction is never given to the processor in user mode: it calls the monitor, whether the processor
    would trap or not.

    >>> from xenlab.emulation.machine import Machine
    >>> from xenlab.emulation.programs import SUM
    >>> machine = Machine()
    >>> machine.load(SUM)
    >>> machine.cpu.engine = translator = Translator()
    >>> machine.run().cause.words, machine.cpu.r[2], translator.misses
    ('halt', 55, 3)
    """

    def __init__(self, *, chained: bool = True, callouts: bool = False) -> None:
        self.chained = chained
        self.callouts = callouts
        self.hits = self.misses = 0
        #: Called with each function that ran, and with None where the interpreter takes over; and with how many
        #: instructions that were.
        self.watch: Callable[[Translation | None, int], None] | None = None
        self.cache: dict[tuple[int, int], Translation] = {}
        self._places: dict[
            int, set[tuple[int, int]]
        ] = {}  # frame → keys of the translations that hold code from it
        self._changed: list[int] = []  # frames of code that were written while a translation ran

    def __call__(self, cpu: Cpu, most: int) -> None:
        """Run at most `most` instructions, up to and with the first system instruction; see `interpret`."""
        cpu.on_code_written = self._forget
        r, memory, load, store, poke, changed = (
            cpu.r,
            cpu.memory,
            cpu.load,
            cpu.store,
            cpu.poke,
            self._changed,
        )
        cache, code, pages, hits = self.cache, cpu.code, None if cpu.flat else cpu.fetched_pages, 0
        pc, done, alone, watch = cpu.pc, 0, LONGEST, self.watch
        changed.clear()
        while True:
            base = FLAT if pages is None else pages.get(pc >> 4)
            if base is None:
                alone = 1  # the interpreter does one instruction, and so looks the page up
                break
            found = cache.get((pc, base))
            if found is None:
                found = self._translate(cpu, pc, base)
            else:
                hits += 1
            try:
                pc, ran = found.run(r, memory, load, store, poke, code, changed, most - done)
            except (Trap, IndexError) as error:
                pc, ran = _recover(found, error.__traceback__, r)
                done += ran
                break
            done += ran
            if not ran:
                break
            if watch:
                watch(found, ran)
            if changed:
                changed.clear()
        self.hits += hits
        cpu.pc = pc
        cpu.retire(done)
        if done < most:
            self._interpret(cpu, min(most - done, alone))

    def _interpret(self, cpu: Cpu, most: int) -> None:
        """Go on where no translation does."""
        if self.watch:
            self.watch(None, 1)
        if not self.callouts or cpu.supervisor:
            interpret(cpu, most)
            return
        word = cpu.fetch(cpu.pc)
        instruction = decode(word).instruction
        if instruction is not None and instruction.privileged:
            raise Trap(Cause.PRIVILEGED, word)
        interpret(cpu, 1)

    def _translate(self, cpu: Cpu, pc: int, base: int) -> Translation:
        self.misses += 1
        made = translate(cpu.memory, pc, base, chained=self.chained)
        self.cache[pc, base] = made
        for address in made.addresses:
            frame = (address if base == FLAT else base) >> 4
            self._places.setdefault(frame, set()).add((pc, base))
            cpu.code.add(frame)
        return made

    def _forget(self, frame: int) -> None:
        self._changed.append(frame)
        for key in self._places.pop(frame, ()):
            self.cache.pop(key, None)


#: In place of a page's address: addresses are places in memory as they stand.
FLAT = -1


def translate(memory: Words, pc: int, base: int = FLAT, *, chained: bool = True) -> Translation:
    """Translate the code at `pc`; `base` is the place of its page, where a page table is in use.

    >>> from xenlab.emulation.assembler import assemble
    >>> words = assemble("loop: addi r1, r1, 1\\n blt r1, r2, loop\\n halt").words
    >>> print(translate(list(words.values()), 0).source)
    def block(r, m, load, store, poke, code, changed, most, M=M):
        r1, r2 = r[1], r[2]
        done, pc, room = 0, 0x0, most - 2
        while done <= room:
            r1 = r1 + 1 & M
            if r1 < r2:
                done += 2
                continue
            done += 2; pc = 0x2; break
        r[1], r[2] = r1, r2
        return pc, done
    """
    return _Writer(memory, pc, base, chained).translation()


class _Writer:
    """Writes the function of one translation, a line or two for each instruction."""

    def __init__(self, memory: Words, start: int, base: int, chained: bool) -> None:
        self.memory, self.start, self.base, self.chained = memory, start, base, chained
        self.body: list[str] = []
        self.lines: dict[int, tuple[int, int]] = {}
        self.addresses: set[int] = {start}
        self.registers: set[int] = set()
        self.longest = 1

    def translation(self) -> Translation:
        """Write the function, and compile it."""
        self._block(self.start, 0, frozenset(), 0)
        registers = sorted(self.registers)
        inner = ", ".join(f"r{n}" for n in registers)
        outer = ", ".join(f"r[{n}]" for n in registers)
        head = ["def block(r, m, load, store, poke, code, changed, most, M=M):"]
        head += [f"    {inner} = {outer}"] if registers else []
        head += [f"    done, pc, room = 0, {self.start:#x}, most - {self.longest}", "    while done <= room:"]
        tail = [f"    {outer} = {inner}"] if registers else []
        source = "\n".join([*head, *self.body, *tail, "    return pc, done"])
        scope: dict[str, Any] = {"M": MASK}
        exec(compile(source, f"<block {self.start:#x}>", "exec"), scope)
        lines = {line + len(head): where for line, where in self.lines.items()}
        return Translation(
            self.start, source, lines, tuple(registers), frozenset(self.addresses), scope["block"]
        )

    def _block(self, pc: int, count: int, path: frozenset[int], depth: int) -> None:
        """Write the block at `pc`, which is reached after `count` instructions through the blocks of `path`."""
        path |= {pc}
        while count < LONGEST and (found := self._translatable(pc)) is not None:
            self.addresses.add(pc)
            self.lines[len(self.body) + 1] = pc, count
            count += 1
            if found[0].jumps:
                self._jump(*found, pc, count, path, depth)
                return
            self._plain(*found, pc, count, depth)
            pc += 1
        self._leave(f"{pc:#x}", count, depth)

    def _translatable(self, pc: int) -> tuple[Instruction, Decoded] | None:
        if self.base == FLAT:
            place = pc
        elif pc >> 4 == self.start >> 4:
            place = self.base | pc & (PAGE - 1)
        else:
            return None  # another page, which may lie anywhere
        if place >= len(self.memory):
            return None
        found = decode(self.memory[place])
        if found.instruction is None or found.instruction.system:
            return None
        return found.instruction, found

    def _plain(self, instruction: Instruction, found: Decoded, pc: int, count: int, depth: int) -> None:
        text = self._substituted(instruction.effect, found)
        if self.base == FLAT and text.startswith("store("):
            place, _, value = text.removeprefix("store(").removesuffix(")").rpartition(", ")
            self._write(f"x = {place}", depth)
            self.lines[len(self.body) + 1] = pc, count - 1
            self._write(f"m[x] = {value}", depth)
            self._write(
                f"if x >> 4 in code: poke(x, {value}); done += {count}; pc = {pc + 1:#x}; break", depth
            )
        elif text.startswith("store("):
            self._write(text, depth)
            self._write(f"if changed: done += {count}; pc = {pc + 1:#x}; break", depth)
        elif self.base == FLAT:
            self._write(re.sub(r"load\((.*)\)$", r"m[\1]", text), depth)
        else:
            self._write(text, depth)

    def _jump(
        self, instruction: Instruction, found: Decoded, pc: int, count: int, path: frozenset[int], depth: int
    ) -> None:
        text = self._substituted(instruction.effect, found).replace("pc + 1", f"{pc + 1:#x}")
        before, _, target = text.rpartition("pc = ")
        if before.startswith("if "):
            self._write(before.strip(), depth)
            self._go(found.i, count, path, depth + 1)
            self._go(pc + 1, count, path, depth)
            return
        if before:
            self._write(before.rstrip("; "), depth)
        if target.startswith("r"):
            self._leave(target, count, depth)
        else:
            self._go(found.i, count, path, depth)

    def _go(self, target: int, count: int, path: frozenset[int], depth: int) -> None:
        """Go on at a block: round the loop, into the block, or out of the function."""
        if self.chained and target == self.start:
            self.longest = max(self.longest, count)
            self._write(f"done += {count}", depth)
            self._write("continue", depth)
        elif self.chained and target not in path and depth < DEEPEST and len(self.body) < 2 * LONGEST:
            self._block(target, count, path, depth)
        else:
            self._leave(f"{target:#x}", count, depth)

    def _leave(self, target: str, count: int, depth: int) -> None:
        self.longest = max(self.longest, count)
        self._write(f"done += {count}; pc = {target}; break", depth)

    def _write(self, text: str, depth: int) -> None:
        self.body.append("    " * (depth + 2) + text)

    def _substituted(self, effect: str, found: Decoded) -> str:
        names = {"d": found.d, "a": found.a, "b": found.b}
        self.registers |= {n for letter, n in names.items() if re.search(rf"\b{letter}\b", effect)}
        numbers = {"i": str(found.i), "s": str(found.s)}
        return substitute(effect, {letter: f"r{n}" for letter, n in names.items()} | numbers)


def _recover(found: Translation, traceback: TracebackType | None, r: list[int]) -> tuple[int, int]:
    """Put the registers back as they were before the instruction that failed.

    Return its address, and how many instructions came before it. The traceback starts in the engine; one step further
    is the block.
    """
    assert traceback is not None
    assert traceback.tb_next is not None
    local = traceback.tb_next.tb_frame.f_locals
    for n in found.registers:
        r[n] = local[f"r{n}"]
    pc, before = found.lines[traceback.tb_next.tb_lineno]
    return pc, local["done"] + before
