"""The parts a box is put together from: archives, modules, kernels, names."""

import struct
import subprocess

import lz4.block

from xenlab.hosts.box import cpio, recipe, tree
from xenlab.hosts.box.packages import Package


def test_the_cpio_program_reads_our_archive(tmp_path):
    data = cpio.archive(
        [
            cpio.program("init", b"#!/bin/sh\n"),
            cpio.program("bin/busybox", b"x" * 4097),
            cpio.symlink("bin/sh", "busybox"),
        ]
    )
    subprocess.run(["cpio", "--extract", "--quiet"], input=data, cwd=tmp_path, check=True)
    assert (tmp_path / "bin/busybox").read_bytes() == b"x" * 4097
    assert (tmp_path / "bin/sh").readlink().name == "busybox"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


def test_an_lz4_kernel_is_unpacked_and_any_other_is_left_alone():
    elf = b"\x7fELF" + bytes(9 << 20)
    blocks = [lz4.block.compress(part, store_size=False) for part in (elf[: 8 << 20], elf[8 << 20 :])]
    packed = (
        b"MZ boot code"
        + b"\x02\x21\x4c\x18"
        + b"".join(struct.pack("<I", len(block)) + block for block in blocks)
    )
    assert tree.kernel_elf(packed + b"\x00\x00\x00\x00 what follows") == elf
    assert tree.kernel_elf(b"MZ gzip inside") == b"MZ gzip inside"


def test_the_images_name_changes_with_the_recipe_a_package_or_the_guest():
    packages = [Package("xen-utils-4.17", "1")]
    names = {
        recipe.digest(packages, "stock"),
        recipe.digest(packages, "small"),
        recipe.digest([Package("xen-utils-4.17", "2")], "stock"),
    }
    assert len(names) == 3
    assert recipe.digest(packages, "stock") == recipe.digest(packages, "stock")


def test_usr_is_merged_without_losing_a_file(tmp_path):
    for name in ("bin/bash", "usr/bin/env", "lib/modules/a.ko", "usr/lib/b.so", "sbin/init"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    tree.merge_usr(tmp_path)
    assert (tmp_path / "bin").is_symlink()
    assert (tmp_path / "usr/bin/bash").read_text() == "bin/bash"
    assert (tmp_path / "lib/modules/a.ko").read_text() == "lib/modules/a.ko"
    assert (tmp_path / "usr/sbin/init").read_text() == "sbin/init"
