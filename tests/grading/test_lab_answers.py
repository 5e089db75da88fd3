"""The solutions of labs 06 to 16 say what the models and the simulated host say."""

from functools import cache
from pathlib import Path
from random import Random

import pytest
import simpy

from xenlab.grading.lab import MASTER, Lab, Marker

LABS = Path(__file__).parents[2] / "labs"
SEEDS = range(60)


@cache
def answers(name):
    """Run a master's cells, but for its checks; return the names they leave."""
    names = {}
    for cell in Lab.read(LABS / name / MASTER).notebook.cells:
        marker = Marker.of(cell.source)
        if cell.cell_type == "code" and (marker is None or marker.kind in ("STUDENT", "TASK")):
            exec(compile(cell.source, cell.id, "exec"), names)
    return names


def answer(lab, name):
    return answers(lab)[name]


# -- 06


def test_process_numbers_are_those_of_the_chapters_model():
    from xenlab.problems.oslevel import WhichNumber

    around = {"host": None, "outer": "host", "inner": "outer"}
    for problem in map(WhichNumber.make, SEEDS):
        started = [(name, each.namespace) for name, each in problem.machine.processes.items()]
        seen = answer("06_os_level", "numbers")(around, started, problem.namespace)
        assert seen.get(problem.program, 0) == problem.solve()


def test_a_limited_thread_ends_when_one_does_that_is_watched_microsecond_by_microsecond():
    random = Random(6)
    for _ in SEEDS:
        period, quota, work = random.randint(5, 20), random.randint(1, 25), random.randint(0, 90)
        done = now = 0
        while done < work:
            done += now % period < quota  # alone and never idle, it runs at the beginning of each period
            now += 1
        assert answer("06_os_level", "finished")(f"{quota} {period}", work) == now


def test_shares_add_up_to_the_processor():
    tree = {"a": (1, {"b": (7, {}), "c": (3, {"d": (1, {})})}), "e": (5, {})}
    assert sum(answer("06_os_level", "shares")(tree).values()) == pytest.approx(1)


# -- 07


def test_the_linkers_list_is_that_of_the_chapter():
    from xenlab.library.linker import Object, scope

    random = Random(7)
    names = [f"lib{letter}" for letter in "abcdef"]
    for _ in SEEDS:
        needs = {name: random.sample(names, random.randint(0, 3)) for name in ("prog", *names)}
        preload = random.sample(names, random.randint(0, 2))
        objects = [Object(name, needs=tuple(needed)) for name, needed in needs.items()]
        found = answer("07_library", "search_list")(needs, "prog", preload)
        assert tuple(found) == scope("prog", objects, preload)


def test_full_names_are_those_that_python_makes():
    from posixpath import join, normpath

    random = Random(7)
    for _ in SEEDS:
        path = "/".join(random.choices(["a", "..", ".", "", "..."], k=5))
        full = normpath("/" + join("/x/y", path).lstrip("/"))  # POSIX lets two slashes at the beginning be
        assert answer("07_library", "opened")(path, "/x/y", set()) == full


def test_a_real_linkers_record_is_read_as_the_workshop_reads_it():
    from shutil import which

    from xenlab.library.workshop import Workshop

    with Workshop() as shop:
        bound = shop.bindings([which("date")])
        (record,) = shop.path.glob("bindings.*")
        text = record.read_text()
    found = answer("07_library", "bindings")
    assert bound
    assert bound in (found(text, which("date")), found(text, "date"))


# -- 08


def test_code_runs_and_is_let_in_as_on_the_chapters_machine():
    from xenlab.application.stackvm import Machine, Rejected, verify
    from xenlab.problems.application import WhatIsPrinted, WhereIsItRefused

    plain = answer("08_application", "plain")
    for seed in SEEDS:
        code = WhatIsPrinted.make(seed).code
        machine = Machine(code).run()
        assert answer("08_application", "run")(plain(code), 10_000) == (machine.output, machine.steps)
        code = WhereIsItRefused.make(seed).code
        try:
            heights = list(verify(code))
        except Rejected:
            heights = None
        assert answer("08_application", "heights")(plain(code)) == heights


def test_expressions_are_compiled_as_by_the_chapters_compiler_and_shorter_code_prints_the_same():
    from xenlab.application.compiler import compile_source

    plain, run = answer("08_application", "plain"), answer("08_application", "run")
    tree = ("sub", "x", ("mul", 2, ("add", "y", ("less", 3, "x"))))
    code = plain(compile_source("print(x - 2 * (y + (3 < x)))"))
    assert [*answer("08_application", "compiled")(tree), ("print",), ("halt",)] == code
    long = plain(compile_source("x = 2 * 3 - 4\nprint(x + (1 + 2) * (5 - 9))"))
    short = answer("08_application", "folded")(long)
    assert len(short) < len(long)
    assert run(short, 100)[0] == run(long, 100)[0] == [-10]


# -- 09


def test_a_session_is_settled_as_the_platform_does():
    from xenlab.problems.xenoserver import Rest

    for problem in map(Rest.make, SEEDS):
        shares = answer("09_xenoserver", "settle")(
            problem.budget, problem.price, problem.memory, problem.hours
        )
        assert shares["client"] == problem.solve()
        assert sum(shares.values()) == problem.budget


def test_who_may_is_xens_own_rule():
    from xenlab.paravirt.policy import Domain, Right, allowed

    kinds = {
        "everybody": Right.EVERYBODY,
        "itself": Right.ITSELF,
        "emulator": Right.DEVICE_MODEL,
        "control": Right.CONTROL,
    }
    for kind, right in kinds.items():
        for asking in ((0, True, None), (3, False, None), (3, False, 5), (4, True, None)):
            number, control, emulates = asking
            domain = Domain(number, control=control, emulates_for=emulates)
            for target in (0, 3, 5):
                assert answer("09_xenoserver", "may")(kind, asking, target) == allowed(right, domain, target)


def test_rings_are_those_of_the_chapter():
    from xenlab.xenoserver.privilege import MODES, ring_of

    ring, who = answer("09_xenoserver", "ring"), answer("09_xenoserver", "who")
    assert [ring(selector) for selector in range(64)] == [ring_of(selector) for selector in range(64)]
    machines = {"no hypervisor": "bare", "PV, 32 bits": "pv32", "PV, 64 bits": "pv64", "PVH": "hvm"}
    short = {"programs": "program", "guest's kernel": "kernel"}
    for mode in MODES:
        for number in range(4):
            running = [
                short.get(runner.name, runner.name)
                for runner in mode.runners
                if runner.ring == number and not (mode.extended and runner.hypervisor)
            ]
            if mode.name in machines:
                assert who(machines[mode.name], 0x10 + number) == sorted(running)


def test_the_log_says_what_the_chapter_reads_in_it():
    from xenlab.xenoserver.bootlog import read

    log = answer("09_xenoserver", "LOG")
    facts, boot = answer("09_xenoserver", "facts")(log), read(log)
    assert facts["version"] == boot.version
    assert facts["processors"] == boot.processors
    assert facts["memory"] == boot.memory_kb // 1024
    assert f"({facts['scheduler']})" in boot.scheduler or facts["scheduler"] == boot.scheduler


# -- 10


def test_the_end_of_a_walk_is_foreseen():
    from xenlab.problems.domains import StateAfter

    for problem in map(StateAfter.make, range(300)):
        assert answer("10_domains", "foresee")(problem.given.splitlines(), problem.busy) == problem.solve(), (
            problem
        )


def test_states_are_read_as_the_model_reads_them():
    from xenlab.problems.domains import ReadList

    for problem in map(ReadList.make, SEEDS):
        states = answer("10_domains", "states")(problem.given)
        assert states == {row.name: str(row.state) for row in problem.rows}
        assert states[problem.solve()] == str(problem.wanted)


# -- 11


def test_slots_and_notifications_are_those_of_the_ring():
    from xenlab.devices import blkif
    from xenlab.devices.ring import REQ_EVENT, REQ_PROD, FrontRing, initialise
    from xenlab.problems.devices import SlotsOfARing

    for problem in map(SlotsOfARing.make, SEEDS):
        assert answer("11_devices", "slots")(problem.pages, problem.slot) == problem.solve()
    for seed in range(300):
        random, page = Random(seed), memoryview(bytearray(4096))
        old = random.choice((random.randrange(100), 2**32 - random.randrange(1, 9)))
        event, more = (old + random.randrange(-4, 10)) % 2**32, random.randrange(8)
        initialise(page)
        page[:16].cast("I")[REQ_PROD], page[:16].cast("I")[REQ_EVENT] = old, event
        front = FrontRing(page, blkif.PROTOCOL, old)
        front.put([blkif.Request(blkif.READ)] * more)
        assert front.push() == answer("11_devices", "must_notify")(old, (old + more) % 2**32, event)


def test_a_real_handshake_takes_the_steps_of_the_lab():
    from xenlab.devices.driver import Devices
    from xenlab.devices.xenbus import XenbusState
    from xenlab.storage.driver import Storage

    with answer("11_devices", "fresh_host")() as host:
        group = Storage(host).create_group("shop", "/dev/vdc")
        own, disk = group.create("own", "16M"), group.create("data", "16M")
        host.create(name="web", memory=128, disks=[own.disk()], workload="disk").wait_for("disk:")
        states, steps = {"frontend": 1, "backend": 1}, []
        for _, side, state in Devices(host).attach_disk("web", disk.disk("xvdb")).states:
            if XenbusState[state] != states[side]:
                steps.append(
                    (answer("11_devices", "next_step")(*states.values()), [side, int(XenbusState[state])])
                )
                states[side] = int(XenbusState[state])
    assert len(steps) == 4
    assert all(foreseen == taken for foreseen, taken in steps)


# -- 12


def test_extents_chunks_and_chains_are_counted_as_in_the_exercises():
    from xenlab.problems.storage import ChunksUsed, FreeExtents, WhoServes

    names = answers("12_storage")
    for seed in SEEDS:
        extents, chunks, chain = FreeExtents.make(seed), ChunksUsed.make(seed), WhoServes.make(seed)
        assert names["free_extents"](extents.total, extents.EXTENT, extents.sizes) == extents.solve()
        assert 2 + len(names["chunks_copied"](chunks.writes, chunks.CHUNK)) == chunks.solve()
        layers = list(zip(chain.names, chain.held, strict=True))
        assert names["who_serves"](layers)[chain.block] == chain.solve()


def test_a_snapshot_holds_as_much_as_the_model_has_room_for():
    from xenlab.storage.fill import used_chunks

    for room in (1, 2, 3, 7, 64, 257):
        copies = answer("12_storage", "capacity")(room)
        assert used_chunks(copies) <= room * 256 < used_chunks(copies + 1)


@pytest.mark.parametrize("kib", [4, 16, 64])
def test_a_byte_is_found_where_the_image_has_it(kib):
    import io

    from xenlab.storage.qcow2 import Image

    names, random = answers("12_storage"), Random(kib)
    data = names["image_file"](32, kib, writes=[random.randrange(32 << 20) for _ in range(30)])
    image = Image(io.BytesIO(data))
    for _ in range(300):
        offset = random.randrange(32 << 20)
        cluster = image.lookup(offset)
        place = cluster.offset + offset % (kib << 10) if cluster.offset else "below"
        assert names["find"](data, offset) == place


# -- 13


def test_frames_go_where_the_models_bridge_sends_them():
    from xenlab.networking.bridge import Bridge
    from xenlab.networking.frames import BROADCAST, ethernet
    from xenlab.networking.link import Interface

    sent = []

    class Cable:
        def carry(self, sender, frame):
            sent.append(sender.name)

    class Nobody:
        def receive(self, interface, frame):
            pass

    env, names = simpy.Environment(), ("lan0", "vif1.0", "vif2.0")
    bridge = Bridge(env, Interface("xenbr0", "02:00:00:00:00:99", "dom0", Nobody()))
    ports = [Interface(name, "fe:ff:ff:ff:ff:ff", "dom0", Nobody(), medium=Cable()) for name in names]
    for port in ports:
        bridge.add(port)
    random, table = Random(13), {}
    macs = [f"00:16:3e:00:00:{number:02x}" for number in range(1, 6)]
    for _ in range(400):
        env.run(until=env.now + random.choice((1, 10, 90)))
        port, (source, destination) = random.choice(ports), random.sample([*macs, BROADCAST], 2)
        if source == BROADCAST:
            continue
        sent.clear()
        bridge.receive(port, ethernet(source, destination, b"hello"))
        went = answer("13_networking", "forward")(table, list(names), env.now, port.name, source, destination)
        assert went == sent


def test_a_route_is_chosen_as_the_models_router_does():
    from xenlab.networking.routes import Route, RouteTable

    random = Random(13)
    for _ in range(50):
        table, routes = RouteTable(), []
        for number in range(5):
            length = random.choice((0, 8, 14, 16, 24, 32))
            address = int.from_bytes(bytes([10, random.randrange(3), random.randrange(3), 7]), "big")
            network = address >> 32 - length << 32 - length if length else 0
            text = f"{'.'.join(map(str, network.to_bytes(4, 'big')))}/{length}"
            if text not in [route[0] for route in routes]:
                routes.append((text, random.choice(("", f"192.168.1.{number + 1}")), f"eth{number}"))
                table.add(Route.to(text, routes[-1][2], gateway=routes[-1][1]))
        for _ in range(20):
            address = f"10.{random.randrange(4)}.{random.randrange(4)}.7"
            found = table.lookup(address)
            expected = [found.gateway or address, found.device] if found else None
            assert answer("13_networking", "route")(routes, address) == expected


def test_what_comes_back_through_the_nat_finds_its_guest():
    nat, random, outside = answer("13_networking", "Nat")(), Random(13), set()
    for _ in range(300):
        packet = (
            random.choice(("tcp", "udp")),
            f"10.0.{random.randrange(5)}.1",
            random.choice((1024, 1025, 40000)),
            "203.0.113.80",
            random.choice((53, 80)),
        )
        protocol, public, port, end, end_port = nat.out(*packet)
        assert nat.back(protocol, end, end_port, public, port) == [protocol, end, end_port, *packet[1:3]]
        outside.add((packet, protocol, port, end_port))
    assert len({flow[1:] for flow in outside}) == len(outside)  # no two conversations look alike


# -- 14


def test_pre_copy_ends_when_xen_417_ends_it():
    from xenlab.migration.policies import Action, Xen417

    words = {Action.SEND: "send", Action.SEND_LAST: "send last", Action.STOP: "stop"}
    for sent in range(8):
        for waiting in (None, 0, 49, 50, 5000):
            action = Xen417().decide([None] * sent, 1 << 20, waiting).action
            assert answer("14_migration", "decide")(sent, waiting) == words[action]


def test_rounds_are_predicted_as_many_as_in_the_exercise():
    """A guest that dirties a fixed share of what is sent, in a memory that is all working set."""
    from xenlab.migration.policies import Action, Xen417

    for writes in (0, 100, 3000, 20000, 40000):
        rounds, left, _ = answer("14_migration", "predict")(65536, 32768, 65536, writes)
        waiting, sent = 65536, []
        while (action := Xen417().decide(sent, 65536, waiting).action) is not Action.STOP:
            sent.append(waiting)
            waiting = min(65536, waiting * writes // 32768)
            if action is Action.SEND_LAST or Xen417().decide(sent, 65536, None).action is Action.STOP:
                break
        assert (rounds, left) == (sent, waiting)


# -- 15


def test_addresses_are_split_and_walked_as_the_model_does():
    from xenlab.memory.entries import Entry, address_of, slots
    from xenlab.memory.walk import NotMapped, direct

    names = answers("15_memory")
    for seed in range(40):
        addresses, root, read = names["some_tables"](Random(seed), large=seed % 2 == 1)
        for address in addresses:
            *parts, offset = names["split"](address)
            assert parts == [slots(address)[level] for level in (4, 3, 2, 1)]
            assert names["join"](*parts, offset) == address == address_of(*parts, offset)
            try:
                walk = direct(
                    address, root, lambda mfn, slot, read=read: Entry.of(read(mfn, slot)), lambda mfn: None
                )
            except NotMapped:
                expected = None
            else:
                expected = walk.machine_address
            assert names["translate"](address, root, read) == expected


def test_what_balloons_leave_free_is_what_the_model_says():
    from xenlab.problems.memory import FreeMemory

    for problem in map(FreeMemory.make, SEEDS):
        guests = {name: [has, most] for name, has, most in problem.guests}
        assert answer("15_memory", "free_after")(problem.free, guests, problem.targets) == problem.solve()


# -- 16


def test_credits_are_granted_as_in_the_exercise():
    from xenlab.problems.scheduling import Grants

    for problem in map(Grants.make, SEEDS):
        guests = [(weight, cap) for _, weight, cap in problem.rows]
        granted = answer("16_scheduling", "grants")(guests, problem.pcpus)
        names = [name for name, _, _ in problem.rows]
        assert granted[names.index(problem.asked)] == problem.solve()


def test_a_report_adds_up_to_what_the_run_says():
    from xenlab.scheduling import Blocking, Domain, System, simulate

    guests = (Domain("web", 2, 512), Domain("db", cap=30), Domain("io", workload=Blocking(2, 7)))
    run = simulate(System(guests, pcpus=2), seconds=2)
    report = answer("16_scheduling", "report")(run.bars)
    for name, seconds in run.vcpu_seconds.items():
        assert report[name][0] == pytest.approx(1000 * seconds, abs=1)


def test_pinned_weights_count_where_the_lab_says_they_do():
    from xenlab.scheduling import Domain, System, predict

    for one, other in ((512, 256), (256, 256), (1024, 256), (128, 512)):
        for pcpus in (1, 2, 4):
            guests = Domain("one", weight=one, cpus=(0,)), Domain("other", weight=other, cpus=(0,))
            shares = predict(System(guests, pcpus=pcpus), seconds=20)
            even = abs(shares["one"] - shares["other"]) < 0.03
            assert answer("16_scheduling", "runs_even")((one, other), pcpus) == even
