"""What sharing a golden image is worth: room saved against depth of the chain and how much the guests write.

Sharing saves the parts nobody changes. Two things eat the saving: a write smaller than a cluster copies a
whole one, and every layer of a chain is one more place to look for a block that nobody changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from xenlab.storage.qcow2.layout import Qcow2Error


@dataclass(frozen=True)
class Space:
    """Room taken by a number of guests, with and without a shared golden image.

    `copies`: bytes if each guest has a full copy. `shared`: bytes of the golden image and the layers all
    guests share. `own`: bytes of all the guests' own layers. `copied_ratio`: part of a layer's clusters that
    it holds itself. `lookups`: layers a read of a random block asks on average.
    """

    copies: int
    shared: int
    own: int
    copied_ratio: float
    lookups: float

    @property
    def total(self) -> int:
        """Bytes taken with sharing."""
        return self.shared + self.own

    @property
    def saved(self) -> float:
        """Part of the full copies' room that sharing saves; negative if it costs room."""
        return 1 - self.total / self.copies


def golden_image_space(
    image_size: int,
    guests: int,
    write_ratio: float,
    *,
    depth: int = 1,
    cluster_size: int = 64 * 1024,
    write_size: int = 4096,
) -> Space:
    """Compare full copies of an image with a chain of `depth` copy-on-write layers above one golden image.

    The lowest ``depth - 1`` layers are shared by all guests (a web server on Debian, the shop on the web
    server); the top one is each guest's own. Every layer changes `write_ratio` (0 to 1) of the image's blocks
    of `write_size` bytes, at random places. A cluster of c blocks is copied up unless all c stay unwritten,
    so a layer holds the part ``1 - (1 - write_ratio)**c`` of the clusters. `image_size` is the data in the
    golden image, in bytes; the tables (8 bytes a cluster and a few clusters) are left out.

    Raises `Qcow2Error` for a ratio outside 0 to 1, no guests, no depth, or a write larger than a cluster.

    >>> ten = golden_image_space(4 << 30, guests=10, write_ratio=0.01)
    >>> f"{ten.copied_ratio:.1%} of the clusters for 1 % of the data; {ten.saved:.0%} saved"
    '14.9% of the clusters for 1 % of the data; 75% saved'
    >>> f"{golden_image_space(4 << 30, 10, 0.01, cluster_size=4096).saved:.0%}"
    '89%'
    """
    if not 0 <= write_ratio <= 1:
        raise Qcow2Error(f"write_ratio(={write_ratio}) must be between 0 and 1")
    if guests < 1 or depth < 1:
        raise Qcow2Error(f"guests(={guests}) and depth(={depth}) must be at least 1")
    if not 0 < write_size <= cluster_size:
        raise Qcow2Error(f"write_size(={write_size}) must be at most cluster_size(={cluster_size})")
    copied = 1 - (1 - write_ratio) ** (cluster_size / write_size)
    layer = round(image_size * copied)
    return Space(
        copies=guests * image_size,
        shared=image_size + (depth - 1) * layer,
        own=guests * layer,
        copied_ratio=copied,
        lookups=sum((1 - copied) ** above for above in range(depth + 1)),
    )
