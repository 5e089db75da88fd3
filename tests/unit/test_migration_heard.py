"""Listening on the cable: frames become one conversation, and that becomes rounds, each with its time."""

import io

import dpkt
import pytest

from xenlab.commands import XenlabError
from xenlab.hosts.box.tap import pieces
from xenlab.hosts.pair import connect_pair
from xenlab.migration.heard import HeardRound, hear, replay
from xenlab.migration.pages import MigrationError
from xenlab.migration.policies import Legacy, Xen417
from xenlab.migration.stream import StreamError
from xenlab.migration.streamwriter import write_save

COMMAND = b"xl migrate-receive\n"
#: Pages of the rounds of live migrations by Xen 4.17.7, heard on the cable between two boxes; the last one came while
#: the guest stood still. PVH guests of 80 and 128 MiB: one that prints the time, and four that write so many MiB over
#: and over, with a second of sleep in between.
REAL = {
    "clock, 80 MiB": (20496, 145, 51, 359),
    "clock, 128 MiB": (32784, 147, 54, 357),
    "2 MiB": (32784, 1056, 305),
    "8 MiB": (32784, 2608, 1704, 1309, 62, 306),
    "12 MiB": (20496, 3637, 2322, 1726, 318),
    "32 MiB": (32784, 8843, 8826, 8828, 8828, 9059),
}


def rounds(*pages):
    last = len(pages)
    return [HeardRound(number < last, each, 0, 1) for number, each in enumerate(pages, start=1)]


def stream(*passes):
    """A saved guest whose pages go over in these passes; all but the last must fill batches of 1024."""
    file = io.BytesIO()
    write_save(file, {}, ((pfn, b"x") for count in passes for pfn in range(count)))
    return file.getvalue()


def capture(path, segments, port=514):
    """Write frames to a file in the pcap format: (time, sequence number, flags, bytes), all from one end."""
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file, snaplen=65536)
        for time, number, flags, data in segments:
            tcp = dpkt.tcp.TCP(sport=40000, dport=port, seq=number % 2**32, flags=flags, data=data)
            ip = dpkt.ip.IP(
                src=bytes([10, 78, 0, 1]), dst=bytes([10, 78, 0, 2]), p=dpkt.ip.IP_PROTO_TCP, data=tcp
            )
            ip.len = len(ip)
            writer.writepkt(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_IP, data=ip), time)
    return path


def speak(data, size, first=2**32 - 500):
    """Cut `data` into segments of a connection that begins near the end of its numbers."""
    yield 0.0, first, dpkt.tcp.TH_SYN, b""
    for time, place in enumerate(range(0, len(data), size), start=1):
        yield float(time), first + 1 + place, dpkt.tcp.TH_ACK, data[place : place + size]


@pytest.mark.parametrize("name", REAL)
def test_a_real_xen_ended_its_rounds_where_its_rule_says(name):
    live = REAL[name][:-1]
    reason = replay(rounds(*REAL[name]), Xen417())
    assert reason == ("5 rounds were sent" if len(live) == 5 else "0 dirty pages are fewer than 50")


def test_rounds_that_break_the_rule_are_noticed():
    with pytest.raises(MigrationError, match="2 live rounds must be followed by more"):
        replay(rounds(16384, 900, 400), Legacy())
    with pytest.raises(MigrationError, match="round 5 of 60 pages must be the last live one"):
        replay(rounds(16384, 900, 800, 700, 60, 55, 20), Xen417())


def test_a_capture_becomes_the_bytes_that_were_said_whatever_was_written_down_twice(tmp_path):
    data = COMMAND + stream(1500, 30)
    segments = list(speak(data, 4000))
    twice = [each for pair in zip(segments, segments, strict=True) for each in pair]
    late = [*twice, twice[5], (999.0, *segments[-1][1:])]
    heard = list(pieces(capture(tmp_path / "a.pcap", late), 514))
    assert b"".join(said for _, said in heard) == data
    assert [time for time, _ in heard] == [time for time, _, _, said in segments if said]


def test_the_connection_that_carried_most_is_the_one(tmp_path):
    other = [(time, number, flags, b"?") for time, number, flags, _ in speak(b"xx", 1)]
    path = capture(tmp_path / "a.pcap", [*other, *speak(COMMAND, 5)], port=80)
    assert list(pieces(path, 514)) == []


def test_a_gap_is_an_error_and_so_is_a_connection_joined_late(tmp_path):
    segments = list(speak(COMMAND * 9, 20))
    with pytest.raises(ValueError, match="frames must follow each other without a gap"):
        list(pieces(capture(tmp_path / "gap.pcap", segments[:3] + segments[4:]), 514))
    with pytest.raises(ValueError, match="must be heard from its beginning"):
        list(pieces(capture(tmp_path / "late.pcap", segments[1:]), 514))


def test_each_round_has_the_time_in_which_its_pages_went_over(tmp_path):
    said = COMMAND + stream(2048, 1024, 3)
    heard = hear(pieces(capture(tmp_path / "a.pcap", speak(said, 4096)), 514))
    assert [each.pages for each in heard.rounds] == [2048, 1024, 3]
    assert [each.live for each in heard.rounds] == [True, True, False]
    for before, after in zip(heard.rounds, heard.rounds[1:], strict=False):
        assert before.start + before.seconds <= after.start
    # A segment a second, each about a page long.
    assert heard.rounds[0].seconds == pytest.approx(2048, rel=0.01)
    assert heard.rounds[1].rate == pytest.approx(4096 * 8 / 1e6, rel=0.01)
    table = heard.frame()
    assert list(table.columns) == ["live", "pages", "start", "seconds", "mib", "rate"]
    assert list(table.index) == [1, 2, 3]
    assert str(heard) == "2 live rounds and the stop-and-copy phase, pages: 2,048, 1,024, 3"


def test_a_saved_file_that_is_copied_is_one_round_while_nothing_runs():
    heard = hear([(0.0, b"head -c 5 >x\n" + stream(40))])
    assert [(each.live, each.pages, each.rate) for each in heard.rounds] == [(False, 40, 0.0)]
    assert heard.saved is not None
    assert heard.saved.pages_with_data == 40


def test_silence_and_half_a_guest_are_errors():
    with pytest.raises(MigrationError, match="nothing was heard on the cable"):
        hear([])
    with pytest.raises(StreamError, match="it was cut off"):
        hear([(0.0, COMMAND), (1.0, stream(9)[:-20])])


def test_rounds_are_heard_on_the_simulator_too():
    with connect_pair("sim") as pair:
        pair.a.create(name="busy", type="pvh", workload="dirty:32").wait_for("xenlab: workload")
        with pair.listening() as ear:
            pair.a.xl("migrate", "-s", "wire", "busy", "hostb")
            with pytest.raises(XenlabError, match=r"heard\(=not yet\) must be asked for after"):
                _ = ear.heard
    assert ear.heard.rounds[0].pages == 32768
    assert replay(ear.heard.rounds, Xen417())
    assert ear.heard.saved is None


def test_breaking_needs_a_migration_and_listening_a_sound():
    with connect_pair("sim") as pair:
        with pytest.raises(
            XenlabError, match="no guest arrived at hostb: 'link cut' needs a migration to break"
        ):
            with pair.breaking("link cut"):
                pair.a.wait(1)
        with pytest.raises(MigrationError, match="nothing was heard on the cable"):
            with pair.listening():
                pair.a.wait(1)
