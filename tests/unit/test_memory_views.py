"""Memory on the page: what the pictures say in words, and what their sliders and fields lead to."""

import pytest

import xenlab
from xenlab.commands import XenlabError
from xenlab.memory.balloon_view import Ballooning, Guest
from xenlab.memory.board_view import MemoryBoard
from xenlab.memory.calls_view import Hypercalls
from xenlab.memory.samples import small_guest, small_pvh_guest
from xenlab.memory.walk_view import WalkStory, read_address

# -- an address on its way --------------------------------------------------------------------------------------------


def test_a_pv_walk_is_four_reads_then_the_frame_then_the_page():
    story = WalkStory(small_guest(), 0xFFFF888000003123)
    assert len(story.captions) == len(story.moments) == 7
    assert [moment["reads"] for moment in story.moments] == [0, 1, 2, 3, 4, 4, 4]
    assert [part["number"] for part in story.parts] == [273, 0, 0, 3, 0x123]
    assert story.cards[-1]["value"] == "0x13123"
    assert story.cards[-1]["target"] == "0x3123"


def test_a_pvh_walk_is_24_reads():
    story = WalkStory(small_pvh_guest(), 0xFFFF888000003123)
    assert [moment["reads"] for moment in story.moments] == [0, 4, 5, 9, 10, 14, 15, 19, 20, 24]
    assert "24 reads" in story.step(-1) + story.step(99)
    assert all(card["page"] and card["frame"] for card in story.cards)


def test_the_way_of_another_address_can_be_asked_for():
    story = WalkStory(small_guest(), 0xFFFF888000003123)
    story.step(5)
    story.address = "ffff888000005000"
    assert (story.moment, story.complaint, story.cards[-1]["page"]) == (0, "", "0x5")


def test_an_address_that_is_not_mapped_ends_in_a_fault():
    story = WalkStory(small_guest(), 0x1000)
    assert "Page fault. Entry 0 of the L4 table is not present" in story.describe()


@pytest.mark.parametrize("text", ["web", "", "0x123456789abcdef0", "0xffff000000000000"])
def test_what_is_no_address_is_refused_and_the_picture_stays(text):
    story = WalkStory(small_guest(), 0xFFFF888000003123)
    cards = story.cards
    story.address = text
    assert story.complaint.startswith("address(=")
    assert story.cards == cards
    with pytest.raises(XenlabError, match="must be"):
        read_address(text)


def test_a_page_without_widgets_still_tells_the_way():
    assert "machine address" in WalkStory(small_guest(), 0xFFFF888000003123).picture()


# -- balloons ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def board():
    return Ballooning([Guest("web", 72, 96), Guest("db", 64, 96)])


def test_a_balloon_works_in_batches_of_2_mib(board):
    board.set("web", 60)
    assert len(board.moments) == len(board.captions) == 7
    assert [moment["guests"][0]["has"] for moment in board.moments] == [72, 70, 68, 66, 64, 62, 60]
    for moment in board.moments:
        assert len(moment["owners"]) == 256
        assert moment["owners"].count(".") == moment["free"]
        for letter, guest in zip("wd", moment["guests"], strict=True):
            assert moment["owners"].count(letter) == guest["has"] == guest["pages"].count("#")


def test_what_one_gives_back_another_can_have(board):
    board.set("web", 40)
    assert board.set("db", 96) == "web has 40 MiB, db has 96 MiB; 32 MiB are free."


def test_who_finds_no_memory_tries_four_times(board):
    board.set("db", 96)
    assert board.set("web", 96) == "web has 72 MiB, db has 96 MiB; 0 MiB are free."
    said = board.describe()
    assert said.count("asks for frames, and Xen has none") == 4
    assert "It has tried four times, and lets it rest." in said
    board.set("db", 64)
    assert board.set("web", 96).startswith("web has 72")  # the same target does not wake it
    assert board.set("web", 95).startswith("web has 95")


def test_a_kernel_gives_only_what_it_can_spare(board):
    assert board.set("web", 10).startswith("web has 24 MiB")
    assert "has nothing left to give" in board.describe()


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [("mail", 20, "must be one of these guests: web, db"), ("web", -1, "must be 0 to 96 MiB")],
)
def test_a_slider_goes_only_so_far(board, name, target, message):
    with pytest.raises(XenlabError, match=message):
        board.set(name, target)


def test_without_widgets_the_squares_are_letters(board):
    assert "XXXXXXXX" in board.picture()
    assert "72 MiB" in board.picture()


# -- a guest and Xen --------------------------------------------------------------------------------------------------


def test_a_guest_cannot_get_a_writable_mapping_of_its_tables():
    desk = Hypercalls()
    for page in range(4, 8):
        assert "-EBUSY" in desk.ask("map", page=page, slot=9)
    assert [row["words"] for row in desk.pages[4:]] == [
        "L4 page table, pinned",
        "L3 page table",
        "L2 page table",
        "L1 page table",
    ]
    assert desk.pages[7]["mapped"] == "7 ro"


def test_a_page_that_is_used_is_kept_when_it_is_given_back():
    desk = Hypercalls()
    desk.ask("release", page=2)
    assert desk.pages[2]["words"].startswith("given back to Xen, which keeps it")
    desk.ask("unmap", slot=2)
    assert desk.pages[2]["words"] == "given back to Xen"
    assert "no frame behind this page" in desk.ask("map", page=2, slot=3)


def test_a_neighbours_page_is_out_of_reach():
    desk = Hypercalls()
    assert "real_pg_owner d2" in desk.ask("map", page=8, slot=9, write=False)
    assert "-EINVAL" in desk.ask("release", page=8)
    assert "-EINVAL" in desk.ask("pin", page=8, level=1)


def test_one_can_begin_again():
    desk = Hypercalls()
    before = desk.pages
    desk.ask("unmap", slot=0)
    desk.ask("restart")
    assert (desk.pages, desk.answers) == (before, [])


@pytest.mark.parametrize(
    ("call", "fields", "message"),
    [
        ("steal", {}, "must be one of: map, unmap, pin, unpin, release"),
        ("map", {"page": 9}, r"page\(=9\) must be 0 to 8"),
        ("map", {"slot": 16}, r"slot\(=16\) must be 0 to 15"),
        ("pin", {"level": 0}, r"level\(=0\) must be 1 to 4"),
    ],
)
def test_what_cannot_be_asked_is_told(call, fields, message):
    with pytest.raises(XenlabError, match=message):
        Hypercalls().ask(call, **fields)


# -- a host's board ---------------------------------------------------------------------------------------------------


@pytest.fixture
def host():
    with xenlab.connect("sim") as host:
        host.create(name="web", workload="meminfo")
        host.wait(4)
        yield host


def test_the_board_shows_every_frame_by_its_owner(host):
    board = MemoryBoard(host)
    assert len(board.squares) == 1023
    assert (board.squares.count("0"), board.squares.count("w")) == (384, 128)
    assert board.message["text"] == ""
    assert "w  web has 128, target 128 of at most 128" in board.describe()


def test_a_slider_runs_mem_set_and_the_squares_follow(host):
    board = MemoryBoard(host)
    assert board.press("mem-set", "web", 100) == "Ran `xl mem-set web 100m`"
    board.press("wait", seconds=5)
    assert (board.squares.count("w"), board.free) == (100, 524)
    assert [row["command"] for row in board.rows if row.get("note") != "looked at"][
        -1
    ] == "xl mem-set web 100m"


def test_what_xl_refuses_is_shown_and_nothing_changes(host):
    board = MemoryBoard(host)
    squares = board.squares
    assert "memory_static_max" in board.press("mem-set", "web", 500)
    assert board.message["failed"]
    assert board.squares == squares
    assert "must be one of: mem-set, wait, refresh" in board.press("grow")


def test_frames_are_read_anew_only_when_something_has_changed(host):
    board = MemoryBoard(host)
    before = len(host.transcript)
    board.press("refresh", seconds=3)
    assert not [entry for entry in host.transcript[before:] if entry.argv[0] == "xen-mfndump"]
    host.create(name="db")
    board.press("refresh")
    assert board.squares.count("d") == 128


def test_the_transcript_keeps_only_the_beginning_of_megabytes(host):
    host.run(["xen-mfndump", "dump-m2p"])
    assert len(host.transcript[-1].stdout) < 210_000
    assert host.transcript[-1].stdout.endswith("more characters were not kept\n")
