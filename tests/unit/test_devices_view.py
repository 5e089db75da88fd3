"""The pictures of devices show what the models say, in words too."""

from pathlib import Path

import pytest

from xenlab.commands import XenlabError
from xenlab.devices import handshake, storelog
from xenlab.devices.batches_view import Batches
from xenlab.devices.batching import sweep
from xenlab.devices.trace import play
from xenlab.devices.view import A_BATCH, HandshakeStory, RequestStory, RingStory, phases

RECORDED = Path(__file__).with_name("devices_xenstored.log").read_text()


def test_a_slot_goes_through_all_its_phases():
    steps = play(A_BATCH).steps
    seen = [phases(step).get(0, "empty") for step in steps]
    order = ["written", "waiting", "taken", "answered", "ready", "empty"]
    assert list(dict.fromkeys(seen)) == order


def test_the_ring_counts_notifications_sent_and_saved():
    story = RingStory(*A_BATCH)
    assert story.captions[-1].endswith("Notifications: 2 sent, 1 saved.")
    assert len(story.frames) == len(story.captions) == len(A_BATCH) + 1
    assert "req_prod" in story.picture()


def test_the_handshake_lights_the_states_that_were_recorded():
    changes = [change for change in storelog.read(RECORDED, 1) if "51728" in change.path]
    story = HandshakeStory(handshake.read(changes, 1), simulated=False)
    assert "on a real Xen" in story.title
    assert "frontend INITIALISED, backend INIT_WAIT" in story.frames[3]
    assert "ring-ref" in story.captions[3]
    assert "the guest's kernel" in story.step(3)


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_request_goes_from_the_app_to_the_disk_and_back(operation):
    story = RequestStory(operation)
    places = [frame.split("The request is at: ")[1].split("<")[0] for frame in story.frames]
    assert list(dict.fromkeys(places)) == ["app", "frontend", "ring", "backend", "disk"]
    assert places[-1] == "app"


def test_the_slider_of_batches_has_every_run_with_its_dots_and_words():
    runs = sweep(range(1, 33), requests=128)
    slider = Batches(runs, chosen=7)
    assert slider.describe().startswith("Groups of 8: ")
    assert [row["batch"] for row in slider.runs] == list(range(1, 33))
    fastest = max(runs, key=lambda run: run.throughput).batch
    assert min(slider.runs, key=lambda row: row["dots"][0][1])["batch"] == fastest
    assert all(f"Groups of <strong>{run.batch}</strong>" in slider.picture() for run in runs)


def test_one_run_is_no_slider():
    with pytest.raises(XenlabError, match="must be two or more"):
        Batches(sweep((4,), requests=64))


def test_two_groups_must_fit_into_the_ring_for_both_ends_to_work_at_once():
    half, more = sweep((16, 17), requests=256)
    assert more.throughput < 0.75 * half.throughput
