"""A guest of 128 MiB as a real Xen 4.17 sent it while it ran, to be read without a host.

Heard on the cable between two boxes (`xenlab.migration.heard`). Headers, records, page numbers and types are
as `xl migrate` wrote them. The contents of its pages are blanked: a page that held something now holds a
single byte that is not zero.
"""

from __future__ import annotations

import lzma
from importlib import resources
from typing import BinaryIO, cast

from xenlab.migration.stream import SaveFile, read_save


def sent_guest() -> SaveFile:
    """Read the sample.

    >>> [sum(batch.with_data for batch in batches) for batches in sent_guest().passes]
    [32784, 147, 54, 357]
    """
    packed = resources.files("xenlab.migration").joinpath("pvh.stream.xz")
    with packed.open("rb") as file, lzma.open(file) as stream:
        return read_save(cast(BinaryIO, stream))
