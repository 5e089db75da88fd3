"""qcow2: QEMU's copy-on-write disk images, read and written byte for byte.

Read the modules in this order: `layout` (what the bytes mean), `hostfile` (tables in the file), `refcounts`
(which clusters are taken), `blank` (an empty image), `image` (a disk that grows as it is written), `files`
(images by name), `chain` (images on images), `savings` (what sharing a golden image is worth).

Source: QEMU, docs/interop/qcow2.txt.
"""

from xenlab.storage.qcow2.blank import format_image
from xenlab.storage.qcow2.chain import Extent, Serving, commit, layers, served_by
from xenlab.storage.qcow2.files import create_image, open_disk, open_image
from xenlab.storage.qcow2.image import Image, Step
from xenlab.storage.qcow2.layout import Cluster, Header, Kind, Qcow2Error
from xenlab.storage.qcow2.savings import Space, golden_image_space

__all__ = [
    "Cluster",
    "Extent",
    "Header",
    "Image",
    "Kind",
    "Qcow2Error",
    "Serving",
    "Space",
    "Step",
    "commit",
    "create_image",
    "format_image",
    "golden_image_space",
    "layers",
    "open_disk",
    "open_image",
    "served_by",
]
