"""The pictures of storage say what the models say, in words too, and refuse what cannot be drawn."""

import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.storage.blockdev import MemoryDisk
from xenlab.storage.dm_snapshot import Snapshot, SnapshotOrigin
from xenlab.storage.fill import different_chunks, fullness, used_chunks
from xenlab.storage.fill_view import SnapshotGauge, show_fill, show_savings
from xenlab.storage.view import A_DAY, ChainMap, FirstWrite

CHAIN = ChainMap(["today", "web", "golden"], ["..x0.", "x.x..", "xxxx."])


def test_the_first_layer_that_has_a_block_serves_it():
    assert [CHAIN.server(block) for block in range(5)] == [1, 2, 0, 0, None]


def test_every_block_is_told_in_words():
    told = CHAIN.describe().splitlines()
    assert len(told) == 6
    assert "it knows that the block is zeros. 1 look-up." in told[4]
    assert "nobody serves it, it reads as zeros. 3 look-ups." in told[5]


def test_the_picture_shows_the_moment_without_a_script():
    chain = ChainMap(["web", "golden"], [".x", "xx"])
    chain.step(1)
    drawn = chain.picture()
    assert re.search(r"class='cell +asked' data-part='b0-0'", drawn)
    assert re.search(r"class='cell held tone1 lit' data-part='b1-0'", drawn)
    assert "lit" in re.search(r"class='([^']*)' data-part='r-0'", drawn)[1]


@pytest.mark.parametrize(
    ("names", "held"), [([], []), (["a"], ["x", "x"]), (["a", "b"], ["x", "xx"]), (["a"], ["q"])]
)
def test_a_chain_that_does_not_fit_together_is_refused(names, held):
    with pytest.raises(XenlabError, match="must be"):
        ChainMap(names, held)


def test_a_second_write_takes_one_step_and_the_first_four():
    story = FirstWrite(("web", 2), ("web", 2)).describe().splitlines()
    assert len(story) == 1 + 4 + 1
    assert "are copied out to chunk 2 of the store" in story[2]
    assert "has its copy already" in story[5]


def test_the_store_of_the_story_runs_full_and_the_origin_goes_on():
    story = FirstWrite(*A_DAY)
    last = story.frames[-1]
    assert last["words"]["full"] == "Invalid"
    assert last["words"]["web-7"] == "g"
    assert last["classes"]["monday-0"] == "lost"
    assert "the origin must not wait" in story.describe().splitlines()[-1]


def test_a_write_to_a_lost_snapshot_is_an_error_and_one_to_its_origin_is_not():
    full = [("web", chunk) for chunk in range(5)]
    story = FirstWrite(*full, ("monday", 0), ("web", 7)).describe().splitlines()
    assert "an I/O error" in story[-2]
    assert "there is no snapshot left to copy for" in story[-1]


@pytest.mark.parametrize("write", [("tuesday", 0), ("web", 8), ("web", -1)])
def test_a_write_that_cannot_be_drawn_is_refused(write):
    with pytest.raises(XenlabError, match="chunk 0 to 7"):
        FirstWrite(write)


@given(st.lists(st.integers(0, 999), max_size=700))
@settings(max_examples=15)
def test_the_arithmetic_of_a_snapshots_room_is_that_of_the_exception_store(chunks):
    origin = SnapshotOrigin(MemoryDisk(1000 * 4096))
    snapshot = Snapshot(origin, MemoryDisk(2000 * 4096), 4096)
    for chunk in chunks:
        origin.write(chunk * 4096, b"x")
    assert used_chunks(len(set(chunks))) * 8 == snapshot.store.used_sectors


@given(st.integers(0, 3000), st.integers(1, 3000))
def test_random_writes_never_touch_more_than_writes_in_order(writes, chunks):
    random, in_order = (different_chunks(writes, chunks, pattern) for pattern in ("random", "in order"))
    assert 0 <= random <= in_order + 1e-6 <= min(writes, chunks) + 1e-6


def test_a_room_as_large_as_the_volume_and_its_tables_never_runs_full():
    volume = 64 << 20
    assert fullness(10**6, volume, volume + (1 << 20), "in order") < 1
    assert fullness(10**6, volume, volume, "in order") == 1


def test_the_gauge_follows_its_sliders():
    gauge = SnapshotGauge(volume=64, room=32, written=40)
    assert "93.3 % full" in gauge.describe()
    before = gauge.svg
    gauge.pattern = "in order"
    assert "has run full and is lost" in gauge.told
    assert gauge.svg != before
    assert "Invalid" in gauge.picture()


def test_figures_say_in_words_what_they_show(capsys):
    show_fill(pd.Series({0: 0.0, 300: 14.79}), volume=80 << 20, room=8 << 20, simulated=True)
    assert "(simulated): 0 blocks 0.0 %, 300 blocks 14.8 %." in capsys.readouterr().out
    show_savings()
    assert "1 above: 88 % saved where 0.1 % changes, 9 % where 10 % does" in capsys.readouterr().out
