"""Guest memory as migration sees it: pages numbered from 0, and bitmaps that hold one flag a page.

Xen hands its tools the *log-dirty* bitmap: one bit a page, set when the guest has written to that page since
the bitmap was last cleaned. All of pre-copy is arithmetic on a few such bitmaps. Here a bitmap is a numpy
array of booleans, eight bits a page: numpy works on whole arrays of them at memory speed, and 64 GiB of guest
take 16 MiB.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xenlab.commands import XenlabError

#: Bytes in a page on x86 (XC_PAGE_SHIFT = 12).
PAGE_BYTES = 4096
#: Pages in a mebibyte.
PAGES_PER_MIB = (1 << 20) // PAGE_BYTES
#: Pages that Xen's tools send at a time (MAX_BATCH_SIZE in `xg_save_restore.h`).
BATCH = 1024
#: Bytes that announce a page without its contents: the entry of pfn and type in a PAGE_DATA record.
ENTRY_BYTES = 8

Bitmap = npt.NDArray[np.bool_]
PageNumbers = npt.NDArray[np.int64]


class MigrationError(XenlabError, ValueError):
    """A migration that cannot be modelled or read as asked."""


def pages_of(mib: float) -> int:
    """Return how many whole pages fit in `mib` mebibytes.

    >>> pages_of(4096)
    1048576
    """
    return int(mib * PAGES_PER_MIB)


def mib_of(pages: int) -> float:
    """Return the size of `pages` pages in mebibytes.

    >>> mib_of(50)
    0.1953125
    """
    return pages / PAGES_PER_MIB


def bitmap(pages: int, *, value: bool = False) -> Bitmap:
    """Return a bitmap of `pages` flags, all equal to `value`. Raises `MigrationError` below one page.

    >>> bitmap(4, value=True).tolist()
    [True, True, True, True]
    """
    if pages < 1:
        raise MigrationError(f"pages(={pages}) must be at least 1")
    return np.full(pages, value, dtype=np.bool_)


def count(flags: Bitmap) -> int:
    """Return how many flags are set."""
    return int(np.count_nonzero(flags))


def scattered(pages: PageNumbers, stride: int = 1024) -> PageNumbers:
    """Return `pages` in scattered order: every `stride`-th from the first, then from the second, and so on.

    The first tools scanned memory in this order (`xc_linux_save.c: permute`, which rotates page numbers by
    ten bits). Neighbouring pages tend to be written together, and a scan in order of address would take one
    such burst for the behaviour of the whole guest (NSDI'05 §5).

    >>> scattered(np.arange(10), stride=4).tolist()
    [0, 4, 8, 1, 5, 9, 2, 6, 3, 7]
    """
    return np.concatenate([pages[start::stride] for start in range(stride)])


def shares(flags: Bitmap, cells: int) -> npt.NDArray[np.float64]:
    """Shrink a bitmap to `cells` numbers for a picture: the share of flags set in each stretch of memory.

    With fewer pages than cells there are as many numbers as pages.

    >>> shares(np.array([True, True, True, False, False, False]), 3).tolist()
    [1.0, 0.5, 0.0]
    """
    if cells < 1:
        raise MigrationError(f"cells(={cells}) must be at least 1")
    edges = np.linspace(0, flags.size, min(cells, flags.size) + 1).astype(np.int64)
    return np.add.reduceat(flags, edges[:-1], dtype=np.float64) / np.diff(edges)
