"""xenstore keeps a tree with permissions and watches, and its tools print what the real ones do."""

import pytest

from xenlab.hosts.sim import SimDom0
from xenlab.hosts.sim.files import Files
from xenlab.hosts.sim.xenstore import Xenstore


def test_children_come_in_the_order_in_which_they_were_made():
    store = Xenstore()
    for name in ("zebra", "ant"):
        store.write(f"/zoo/{name}", "1")
    assert store.names("/zoo") == ["zebra", "ant"]
    assert store.read("/zoo") == ""
    assert store.read("/zoo/bear") is None


def test_a_new_node_has_its_parents_permissions():
    store = Xenstore()
    store.make("/guest", ("n0", "r3"))
    store.write("/guest/disk/0", "x")
    assert store.permissions("/guest/disk/0") == ("n0", "r3")


def test_removing_takes_all_below_and_needs_only_the_parent():
    store = Xenstore()
    store.write("/a/b/c", "1")
    assert store.remove("/a/b")
    assert store.read("/a/b/c") is None
    assert store.remove("/a/b")
    assert not store.remove("/x/y")


def test_a_watch_hears_of_changes_at_and_below_its_path():
    store = Xenstore()
    heard = []
    stop = store.watch("/a/b", heard.append)
    for path in ("/a/b", "/a/b/c", "/a/bc", "/z"):
        store.write(path, "1")
    store.remove("/a")
    stop()
    store.write("/a/b", "2")
    assert heard == ["/a/b", "/a/b/c", "/a"]


def run(dom0, *argv):
    done = dom0.run(argv)
    return done.stdout, done.stderr, done.status


def test_writing_reading_listing():
    dom0 = SimDom0()
    assert run(dom0, "xenstore-write", "/tool/x", "a\tb", "/tool/y", "2") == ("", "", 0)
    assert run(dom0, "xenstore-read", "-p", "/tool/x", "/tool/y") == ("/tool/x: a\\tb\n/tool/y: 2\n", "", 0)
    assert run(dom0, "xenstore-list", "-p", "/tool")[0].endswith("/tool/x\n/tool/y\n")
    assert run(dom0, "xenstore-exists", "/tool/x") == ("", "", 0)
    assert run(dom0, "xenstore-rm", "-t", "/tool/x")[2] == 0
    assert run(dom0, "xenstore-exists", "/tool/x") == ("", "", 1)


def test_the_tree_is_indented_and_long_values_are_cut():
    dom0 = SimDom0()
    run(dom0, "xenstore-write", "/t/a/b", "v" * 90)
    assert run(dom0, "xenstore-ls", "/t")[0] == 'a = ""\n b = "' + "v" * 70 + '\\..."\n'
    assert run(dom0, "xenstore-ls", "-f", "/t")[0] == '/t/a = ""\n/t/a/b = "' + "v" * 90 + '"\n'


def test_mistakes():
    dom0 = SimDom0()
    assert run(dom0, "xenstore-read", "/no") == ("", "xenstore-read: couldn't read path /no\n", 1)
    assert (
        run(dom0, "xenstore-ls", "/no")[1] == "xenstore-ls: xs_directory (/no): No such file or directory\n"
    )
    assert run(dom0, "xenstore-write", "/a//b", "1")[1] == "xenstore-write: could not write path /a//b\n"


def test_a_relative_path_begins_in_dom0s_home():
    assert run(SimDom0(), "xenstore-read", "name") == ("Domain-0\n", "", 0)


def test_files_are_written_appended_listed_and_removed():
    files = Files()
    with pytest.raises(FileNotFoundError):
        files.write("/var/log/a", b"1")
    for folder in ("/var/log", "/proc"):
        files.make_folder(folder)
    files.write("/var/log/a", b"1")
    files.append("/var/log/a", b"2")
    files.write("/proc/now", lambda: b"3")
    assert files.read("/var/log/../log/a") == b"12"
    assert files.read("/proc/now") == b"3"
    assert files.names("/var") == ["log"]
    files.remove_tree("/var")
    assert not files.is_folder("/var/log")
    assert not files.is_file("/var/log/a")
