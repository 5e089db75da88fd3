"""xenstore: values, permissions, watches and transactions as xenstored has them."""

import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from xenlab.devices.xenstore import Permissions, Xenstore, XenstoreError


@pytest.fixture
def store() -> Xenstore:
    return Xenstore()


class Watcher:
    """A watch and what it was told."""

    def __init__(self, client, path, token="t"):
        self.seen = []
        client.watch(path, token, lambda path, token: self.seen.append(path))


def error(call, *args) -> str:
    with pytest.raises(XenstoreError) as caught:
        call(*args)
    return caught.value.error


def test_writing_makes_the_parents_and_reading_returns_the_value(store):
    dom0 = store.client(0)
    dom0.write("/a/b/c", 5)
    assert (dom0.read("/a/b/c"), dom0.read("/a/b"), dom0.directory("/a")) == ("5", "", ("b",))
    assert [path for path, _ in dom0.walk("/a")] == ["/a", "/a/b", "/a/b/c"]
    assert error(dom0.read, "/a/x") == "ENOENT"


def test_children_are_listed_in_the_order_they_were_made(store):
    dom0 = store.client(0)
    for name in ("z", "a", "m"):
        dom0.write(f"/top/{name}", "")
    dom0.write("/top/z", "again")
    assert dom0.directory("/top") == ("z", "a", "m")


@pytest.mark.parametrize("path", ["/a//b", "/a/", "", "/a b", "/a:b", "/" + "x" * 3072, "y" * 2049])
def test_malformed_paths_are_invalid(store, path):
    assert error(store.client(0).write, path, "") == "EINVAL"


def test_removing_takes_the_subtree_and_a_missing_node_is_no_error(store):
    dom0 = store.client(0)
    dom0.write("/a/b/c", 1)
    dom0.rm("/a/b")
    assert not dom0.exists("/a/b/c")
    assert dom0.directory("/a") == ()
    dom0.rm("/a/b")
    assert error(dom0.rm, "/x/y") == "ENOENT"
    assert error(dom0.rm, "/") == "EINVAL"


def test_relative_paths_start_at_the_guests_home(store):
    store.client(0).write("/local/domain/7/name", "web")
    store.client(0).set_permissions("/local/domain/7/name", "r0")
    assert store.client(7).read("name") == "web"


def test_permissions_decide_who_reads_and_writes(store):
    dom0, guest, other = (store.client(domid) for domid in (0, 1, 2))
    dom0.write("/mine", "x")
    dom0.set_permissions("/mine", "n1,r2")
    guest.write("/mine", "y")  # the owner may
    assert other.read("/mine") == "y"
    assert error(other.write, "/mine", "z") == "EACCES"
    assert error(store.client(3).read, "/mine") == "EACCES"
    assert error(store.client(3).read, "/mine/hidden") == "EACCES"  # not even whether it is there
    assert error(other.read, "/mine/hidden") == "ENOENT"
    assert error(other.set_permissions, "/mine", "b2") == "EACCES"
    assert str(dom0.permissions("/mine")) == "n1,r2"
    with pytest.raises(XenstoreError, match="must be words such as n0,r1"):
        Permissions.parse("n0,q1")


def test_a_guest_owns_what_it_makes_and_children_inherit(store):
    dom0, guest = store.client(0), store.client(1)
    dom0.mkdir("/shared")
    dom0.set_permissions("/shared", "b0,r2")
    guest.write("/shared/new", "")
    assert str(dom0.permissions("/shared/new")) == "b1,r2"
    assert error(guest.write, "/elsewhere", "") == "EACCES"


def test_a_watch_fires_once_at_registration_and_for_everything_below(store):
    dom0 = store.client(0)
    watcher = Watcher(dom0, "/a")
    assert store.deliver() == 1
    dom0.write("/a/b", 1)
    dom0.write("/ab", 1)  # not below
    dom0.mkdir("/a/b")  # exists: no change
    dom0.rm("/a")
    store.deliver()
    assert watcher.seen == ["/a", "/a/b", "/a"]


def test_removing_a_tree_tells_those_who_watch_inside_it(store):
    dom0 = store.client(0)
    dom0.write("/a/b/c", 1)
    deep, above = Watcher(dom0, "/a/b/c"), Watcher(dom0, "/", "u")
    store.deliver()
    dom0.rm("/a")
    store.deliver()
    assert deep.seen == ["/a/b/c"] * 2
    assert above.seen == ["/", "/a"]  # one event for the whole


def test_a_relative_watch_gets_relative_paths(store):
    guest = store.client(4)
    store.client(0).mkdir("/local/domain/4/device")
    store.client(0).set_permissions("/local/domain/4/device", "n4")
    watcher = Watcher(guest, "device")
    guest.write("device/vbd/state", 1)
    store.deliver()
    assert watcher.seen == ["device", "device/vbd/state"]


def test_nobody_is_told_of_what_it_may_not_read(store):
    """XSA-115: watch events must not reveal nodes that the watcher cannot read."""
    dom0 = store.client(0)
    spy = Watcher(store.client(2), "/")
    dom0.write("/secret/key", 1)
    store.deliver()
    assert spy.seen == ["/"]


def test_watches_are_known_by_path_and_token(store):
    dom0 = store.client(0)
    watcher = Watcher(dom0, "/a", "one")
    Watcher(dom0, "/a", "two")
    assert error(dom0.watch, "/a", "one", print) == "EEXIST"
    dom0.unwatch("/a", "one")  # its first event has not been delivered yet, and never will
    dom0.write("/a", 1)
    assert store.deliver() == 2
    assert watcher.seen == []
    assert error(dom0.unwatch, "/a", "one") == "ENOENT"


def test_a_transaction_is_seen_by_itself_at_once_and_by_others_at_the_commit(store):
    dom0 = store.client(0)
    watcher = Watcher(dom0, "/a")
    store.deliver()
    transaction = dom0.transaction()
    transaction.write("/a/x", 1)
    transaction.write("/a/y", 2)
    assert transaction.directory("/a") == ("x", "y")
    assert not dom0.exists("/a")
    store.deliver()
    assert watcher.seen == ["/a"]
    transaction.commit()
    store.deliver()
    assert watcher.seen == ["/a", "/a/x", "/a/y"]
    assert error(transaction.commit) == "ENOENT"


def test_an_aborted_transaction_leaves_no_trace(store):
    dom0 = store.client(0)

    def fail_in_a_transaction() -> None:
        with dom0.transaction() as transaction:
            transaction.write("/a", 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_a_transaction()
    assert not dom0.exists("/a")


@pytest.mark.parametrize("interfere", ["write", "rm", "child"])
def test_a_transaction_that_read_what_another_changed_gets_eagain(store, interfere):
    dom0 = store.client(0)
    dom0.write("/a", 1)
    transaction = dom0.transaction()
    value = transaction.read("/a")
    {
        "write": lambda: dom0.write("/a", 2),
        "rm": lambda: dom0.rm("/a"),
        "child": lambda: dom0.write("/a/b", 1),
    }[interfere]()
    assert transaction.exists("/a")  # it goes on seeing what it saw
    transaction.write("/b", value)
    assert error(transaction.commit) == "EAGAIN"
    assert not dom0.exists("/b")


def test_of_two_transactions_that_read_what_the_other_writes_one_must_start_again(store):
    """The fourth example at the head of xenstored_transaction.c."""
    dom0 = store.client(0)
    dom0.write("/a", 1)
    dom0.write("/b", 2)
    first, second = dom0.transaction(), dom0.transaction()
    first.write("/b", first.read("/a"))
    second.write("/a", second.read("/b"))
    first.commit()
    assert error(second.commit) == "EAGAIN"
    assert (dom0.read("/a"), dom0.read("/b")) == ("1", "1")


def test_atomically_starts_again_until_there_is_no_conflict(store):
    dom0 = store.client(0)
    dom0.write("/count", 0)
    attempts = []

    def increment(transaction) -> int:
        value = int(transaction.read("/count"))
        attempts.append(value)
        if len(attempts) < 3:
            dom0.write("/count", 10 * len(attempts))  # someone else is quicker
        transaction.write("/count", value + 1)
        return value

    assert dom0.atomically(increment) == 20
    assert attempts == [0, 10, 20]
    assert dom0.read("/count") == "21"


class TransferMachine(RuleBasedStateMachine):
    """Money moved between accounts by overlapping transactions is neither made nor lost."""

    accounts = st.sampled_from(["/a", "/b", "/c"])

    def __init__(self) -> None:
        super().__init__()
        self.client = Xenstore().client(0)
        for account in ("/a", "/b", "/c"):
            self.client.write(account, 100)
        self.running = []

    @rule(source=accounts, sink=accounts, amount=st.integers(1, 50))
    def begin(self, source, sink, amount) -> None:
        transaction = self.client.transaction()
        transaction.write(source, int(transaction.read(source)) - amount)
        transaction.write(sink, int(transaction.read(sink)) + amount)
        self.running.append(transaction)

    @rule(which=st.integers(0, 3))
    def commit(self, which) -> None:
        if which < len(self.running):
            with contextlib.suppress(XenstoreError):  # EAGAIN: it does not count
                self.running.pop(which).commit()

    @invariant()
    def the_sum_stays(self) -> None:
        assert sum(int(self.client.read(account)) for account in ("/a", "/b", "/c")) == 300


TestTransferMachine = TransferMachine.TestCase
TestTransferMachine.settings = settings(max_examples=12, stateful_step_count=30, deadline=None)
