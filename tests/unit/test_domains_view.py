"""The dashboard does what its buttons say, shows what dom0 answered, loses nothing when a command fails."""

from dataclasses import dataclass, field

import pandas as pd
import pytest

from xenlab.commands import CommandFailed, Completed, XenlabError
from xenlab.domains import table
from xenlab.domains.diagram import ARROWS, BOXES, draw
from xenlab.domains.model import COMMANDS, EVENTS, Life, State
from xenlab.domains.view import A_LIFE, SENSIBLE, Dashboard, LifeStory, show_time


@dataclass(frozen=True)
class Entry(Completed):
    """A command in the fake's transcript."""

    seconds: float = 0.0


class Transcript(list):
    def __init__(self):
        super().__init__()
        self.callbacks = []

    def subscribe(self, callback):
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def add(self, entry):
        self.append(entry)
        for callback in list(self.callbacks):
            callback(entry)


@dataclass
class Guest:
    """One guest of the fake host: a life of the model that its commands move on."""

    host: "FakeHost"
    name: str
    memory: int = 128
    life: Life = field(default_factory=lambda: Life().after("create"))

    def _do(self, event, *words):
        command, *options = event.split()
        argv = ("xl", command, *options, self.name, *words)
        if event not in self.life.possible():
            self.host.ran(argv, stderr="it refuses", status=1)
        self.life = self.life.after(event).settled()
        self.host.ran(argv)

    def __getattr__(self, event):
        if event not in COMMANDS:
            raise AttributeError(event)
        return lambda *words: self._do(event, *words)


class FakeHost:
    """A host whose guests live by `model.Life`; enough of one for the view."""

    kind, simulated = "sim", True

    def __init__(self):
        self.transcript, self.guests, self.waited = Transcript(), {}, 0.0

    def ran(self, argv, stdout="", stderr="", status=0):
        done = Entry(tuple(argv), stdout, stderr, status)
        self.transcript.add(done)
        if status:
            raise CommandFailed(done)
        return stdout

    def xl(self, *args):
        rows = [table.Row("Domain-0", 0, 384, 2, "r-----", 9.5)]
        for guest in self.guests.values():
            if guest.life.letters:
                rows.append(table.Row(guest.name, guest.life.id, guest.memory, 1, guest.life.letters, 0.1))
        return self.ran(("xl", *args), table.write(rows))

    def create(self, *, name, memory, vcpus, type, workload):
        if memory < 16:
            raise XenlabError(f"memory(={memory}) must be at least 16 MiB")
        self.guests[name] = Guest(self, name, memory)
        self.ran(("xl", "create", f"/etc/xen/{name}.cfg"))

    def restore(self, path):
        (guest,) = (guest for guest in self.guests.values() if guest.name in path)
        guest.life = guest.life.after("restore").settled()
        self.ran(("xl", "restore", path))

    def wait(self, seconds):
        self.waited += seconds

    def __getitem__(self, name):
        if name not in self.guests:
            raise XenlabError(f"no domain is called {name!r}")
        return self.guests[name]


@pytest.fixture
def host():
    return FakeHost()


@pytest.fixture
def board(host):
    board = Dashboard(host)
    yield board
    board.close()


def create(board, name="web", **changes):
    fields = {"memory": "128", "vcpus": "1", "type": "pv", "workload": "counter"} | changes
    return board.press("create", name, **fields)


def test_it_starts_with_what_xl_list_prints(board):
    assert [domain["name"] for domain in board.domains] == ["Domain-0"]
    assert board.domains[0]["buttons"] == [], "nothing to press on Domain-0"
    assert board.state == "absent"


def test_a_created_domain_is_listed_selected_and_lit(board):
    assert create(board) == "Ran `xl create /etc/xen/web.cfg`"
    assert board.selected == "web"
    assert (board.state, board.event) == ("runnable", "create")


def test_each_button_runs_its_command_and_the_state_follows(board):
    create(board)
    for button, state in (
        ("pause", "paused"),
        ("unpause", "blocked"),
        ("save", "saved"),
        ("restore", "blocked"),
    ):
        board.press(button, "web")
        assert (board.state, board.event) == (state, button), board.message
    assert board.press("destroy", "web") == "Ran `xl destroy web`"
    assert board.state == "saved", "the image is still there"


def test_the_transcript_shows_the_real_command_lines(board):
    create(board)
    board.press("pause", "web")
    assert [row["command"] for row in board.rows][-2:] == ["xl pause web", "xl list"]


def test_a_failed_command_is_told_and_changes_nothing(board, host):
    create(board)
    before = board.domains
    host.guests["web"].life = host.guests["web"].life.settled()
    board.press("unpause", "web")
    assert board.message["failed"]
    assert "$ xl unpause web\nit refuses" in board.message["text"]
    assert [domain["name"] for domain in board.domains] == [domain["name"] for domain in before]
    assert board.busy == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory": "8"}, r"memory(=8) must be at least 16 MiB"),
        ({"vcpus": ""}, "vcpus(=) must be a whole number"),
    ],
)
def test_a_bad_field_is_told(board, changes, message):
    assert message in create(board, **changes)
    assert board.message["failed"]


def test_an_unknown_button_and_an_unsaved_image_are_told(board):
    assert "button(='halt') must be one of: create, pause" in board.press("halt", "web")
    assert "name(='web') must be one that was saved" in board.press("restore", "web")


def test_it_hears_commands_from_other_cells(board, host):
    create(board)
    host["web"].pause()
    assert board.event == "pause"
    host.xl("list")
    assert board.state == "paused"


def test_images_saved_before_it_was_made_can_be_restored(host):
    host.create(name="web", memory=128, vcpus=1, type="pv", workload="idle")
    host["web"].save("/tmp/web.save")
    board = Dashboard(host)
    assert board.images == {"web": "/tmp/web.save"}
    board.press("restore", "web")
    assert board.selected == "web"
    board.close()


def test_time_passes_only_when_asked(board, host):
    board.press("pause", "nobody")
    assert host.waited == 0
    board.press("wait", seconds=10)
    board.press("refresh", seconds=3)
    assert host.waited == 13


def test_a_message_from_the_page_presses_a_button(board, host):
    sent = []
    board.send = sent.append
    board._asked(board, {"button": "wait", "seconds": 5}, [])
    assert host.waited == 5
    board._asked(board, {"button": "halt"}, [])
    assert sent == [{"done": "wait", "failed": False}, {"done": "halt", "failed": True}]


def test_a_closed_dashboard_hears_nothing_more(host):
    board = Dashboard(host)
    board.close()
    assert host.transcript.callbacks == []


def test_without_a_front_end_it_is_the_table_and_a_lit_diagram(board):
    create(board)
    data, _ = board._repr_mimebundle_()
    assert "Domains on sim (simulated)" in data["text/plain"]
    assert "web" in data["text/plain"]
    assert "<svg" in data["text/html"]
    assert "class='box lit' data-state='runnable'" in data["text/html"]


def test_every_sensible_button_can_be_pressed_in_that_state():
    lives = {Life()}
    for _ in range(5):
        lives |= {life.after(event) for life in lives for event in life.possible() if life.last_id < 3}
    for life in lives:
        if life.state in SENSIBLE and life.asked is None:
            assert set(SENSIBLE[life.state]) <= set(life.possible())


def test_every_state_has_its_box_and_every_event_its_arrow():
    assert set(BOXES) == set(State)
    drawn = {event for arrow in ARROWS for event in arrow.events}
    assert drawn == set(EVENTS) - {"withdraw"}, "a request taken back leads nowhere"


def test_boxes_do_not_overlap_and_lie_inside_the_picture():
    boxes = [
        (b.x - b.width / 2, b.y - b.height / 2, b.x + b.width / 2, b.y + b.height / 2) for b in BOXES.values()
    ]
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0
        assert top >= 0
        for other in boxes[i + 1 :]:
            assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top


def test_the_diagram_lights_one_state_and_one_event():
    picture = draw(State.PAUSED, "pause")
    assert picture.count("box lit") == 1
    assert picture.count("arrow lit") == 1
    assert "Lit: paused." in picture


def test_time_is_shown_with_its_numbers_in_words(capsys):
    show_time(pd.Series({"web": 0.04, "busy": 4.96}), seconds=5, simulated=True)
    said = capsys.readouterr().out
    assert "Seconds of processor time used within 5.0 seconds (simulated): web 0.0, busy 5.0." in said


def test_a_whole_life_can_be_told():
    assert set(LifeStory(*A_LIFE).states) == set(State) - {State.CRASHED, State.SAVED}


def test_a_story_is_told_step_by_step():
    story = LifeStory("create", "run", "block", "pause", "destroy", "free")
    assert story.states == ["absent", "runnable", "running", "blocked", "paused", "dying", "absent"]
    assert "<code>-bp---</code> (paused)" in story.captions[4]
    end = story.step(6)
    assert "xl list now shows no such domain" in end
    assert (story.moment, story.step(99)) == (6, end), "it stops at the end"


def test_a_story_that_cannot_happen_is_refused():
    with pytest.raises(XenlabError, match="cannot happen"):
        LifeStory("create", "unpause")


def test_a_story_without_a_front_end_is_a_picture_and_a_list():
    data, _ = LifeStory("create", "run")._repr_mimebundle_()
    assert data["text/plain"].startswith("> 1. No domain yet.")
    assert data["text/html"].count("<li>") == 3
