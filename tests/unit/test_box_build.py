"""A build that does not come to its end leaves no half-built image, and says what it lacked."""

import errno
import shutil
from collections import namedtuple

import pytest

from xenlab.hosts.box import image

Usage = namedtuple("Usage", "total used free")


class NoApt:
    """Package sources that always have the same few packages."""

    def __init__(self, folder):
        pass

    def update(self):
        pass

    def resolve(self, names):
        return ()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(image, "find_qemu", lambda: None)
    monkeypatch.setattr(image, "Apt", NoApt)
    (tmp_path / "apt").mkdir()
    return tmp_path


def half_built(error):
    """A build that writes some of its image, and then meets `error`."""

    def build(work, *_):
        (work / "image").mkdir()
        (work / "image" / "xen").write_bytes(b"half of it")
        raise error

    return build


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
def test_what_ends_a_build_is_passed_on_and_nothing_half_built_stays(cache, monkeypatch, error):
    monkeypatch.setattr(image, "_build", half_built(error))
    with pytest.raises(type(error)):
        image.build()
    assert not list(cache.glob("building-*"))
    assert not list(cache.glob("images/*"))
    with pytest.raises(image.NoImage, match="xenlab box build"):
        image.find()


def test_a_disk_that_fills_up_while_building_is_named_with_what_is_needed(cache, monkeypatch):
    monkeypatch.setattr(image, "_build", half_built(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(image.NoRoom, match=r"must be at least 1\.5 GB: make room"):
        image.build()
    assert not list(cache.glob("building-*"))


def test_a_disk_that_is_too_full_is_refused_before_anything_is_fetched(cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**10, 10**10 - 10**8, 10**8))
    monkeypatch.setattr(image, "_build", half_built(AssertionError("it was begun")))
    with pytest.raises(image.NoRoom, match=r"\(=0\.1 GB\) must be at least 1\.5 GB"):
        image.build()


def test_what_a_killed_build_left_is_swept_away_by_the_next(cache, monkeypatch):
    (cache / "building-old" / "root").mkdir(parents=True)
    monkeypatch.setattr(image, "_build", half_built(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        image.build()
    assert not list(cache.glob("building-*"))
