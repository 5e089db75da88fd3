"""A few programs for the book's processor."""

#: Writes a word to the serial port, letter by letter. It asks first whether there is room to send.
HELLO = """\
        li   r1, text        ; where the next letter is
next:   lw   r2, [r1]
        beq  r2, r0, done    ; a zero ends the text
wait:   in   r3, 0x3fd       ; the line status register …
        andi r3, r3, 0x20    ; … bit 5: there is room to send
        beq  r3, r0, wait
        out  0x3f8, r2
        addi r1, r1, 1
        jmp  next
done:   halt
text:   .ascii "Xen"
"""

#: 1 + 2 + … + n, for n in the word `n`; the sum is left in r2.
SUM = """\
        lw   r3, [r0+n]
        li   r1, 0
        li   r2, 0
loop:   addi r1, r1, 1
        add  r2, r2, r1
        blt  r1, r3, loop
        halt
n:      .word 10
"""

#: The sieve of Eratosthenes over `SIZE` words at 0x100; the number of primes is left in r5.
SIEVE = """\
        .equ SIZE, 3000
        .equ TABLE, 0x100
        li   r1, 2            ; the candidate
        li   r2, SIZE
        li   r5, 0
each:   lw   r3, [r1+TABLE]
        bne  r3, r0, skip     ; it was struck out
        addi r5, r5, 1
        add  r4, r1, r1
strike: bge  r4, r2, skip
        sw   r1, [r4+TABLE]
        add  r4, r4, r1
        jmp  strike
skip:   addi r1, r1, 1
        blt  r1, r2, each
        halt
"""

#: The longest way to 1 by Collatz's rule, for all starts below r2: its length is left in r6.
COLLATZ = """\
        li   r2, 2000
        li   r1, 2            ; the start
        li   r7, 1
start:  add  r3, r1, r0       ; n
        li   r4, 0            ; steps so far
step:   beq  r3, r7, ended
        addi r4, r4, 1
        andi r5, r3, 1
        bne  r5, r0, odd
        shri r3, r3, 1
        jmp  step
odd:    muli r3, r3, 3
        addi r3, r3, 1
        jmp  step
ended:  bge  r6, r4, less
        add  r6, r4, r0
less:   addi r1, r1, 1
        blt  r1, r2, start
        halt
"""
