"""Machines made of software: a small processor interpreted and translated, a serial port, and real x86 code.

`isa` is the instruction set of the book's processor, Nib; `assembler` turns text into its words. `cpu` is the
processor itself with its modes, traps and timer, `mmu` its page tables. `translator` runs the same code by turning it
into Python.
`uart` is a serial port, `machine` puts a computer together, `programs` are a few programs for it.
"""
