"""A serial port: the registers of the 16550 UART that every PC has, as far as a console needs them.

A real one shifts the bits of a character onto a wire. An emulated one answers when a guest reads and writes its
registers, and does with the characters what it likes. Registers and bits: National Semiconductor, PC16550D data sheet.

| offset | reading | writing |
|---:|---|---|
| 0 | RBR: the next character received | THR: a character to send |
| 1 | IER: interrupts wanted | IER |
| 2 | IIR: 1, no interrupt is pending | FCR |
| 3 | LCR: the line's settings; bit 7 (DLAB) shows the divisor in 0 and 1 | LCR |
| 4 | MCR: lines to the modem | MCR |
| 5 | LSR: bit 0, a character has come; bits 5 and 6, there is room to send | |
| 6 | MSR: lines from the modem | |
| 7 | SCR: for keeping a byte | SCR |
"""

from __future__ import annotations

from collections import deque

#: Where a PC has its first serial port, COM1.
COM1 = 0x3F8
DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(8)
DLAB = 0x80
DATA_READY, ROOM_TO_SEND = 0x01, 0x60


class Uart:
    """A serial port whose wire ends in `sent`: what was written to it.

    >>> uart = Uart()
    >>> for letter in b"hi":
    ...     uart.write(DATA, letter)
    >>> uart.text
    'hi'
    """

    def __init__(self) -> None:
        self.sent = bytearray()
        self._received: deque[int] = deque()
        self._kept = {IER: 0, LCR: 3, MCR: 0, SCR: 0}
        self._divisor = [1, 0]

    @property
    def text(self) -> str:
        """What was sent, as text."""
        return self.sent.decode("latin-1")

    def receive(self, data: bytes) -> None:
        """Let characters arrive at the port, as from somebody who types."""
        self._received.extend(data)

    def read(self, offset: int) -> int:
        """What the register at an offset holds; reading the data register takes the character out."""
        if offset in (DATA, IER) and self._kept[LCR] & DLAB:
            return self._divisor[offset]
        if offset == DATA:
            return self._received.popleft() if self._received else 0
        if offset == IIR:
            return 1
        if offset == LSR:
            return ROOM_TO_SEND | (DATA_READY if self._received else 0)
        return self._kept.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Write a register; only the low eight bits count, as only eight lines are there."""
        value &= 0xFF
        if offset in (DATA, IER) and self._kept[LCR] & DLAB:
            self._divisor[offset] = value
        elif offset == DATA:
            self.sent.append(value)
        elif offset in self._kept:
            self._kept[offset] = value
