"""A host keeps a record of all it ran, and leaves alone what is not its own."""

import pytest

from xenlab.commands import CommandFailed, Completed
from xenlab.domains import table
from xenlab.hosts.dom0 import Dom0
from xenlab.hosts.host import Host, NotOurs


class Server(Dom0):
    """A shared Xen server on which two domains run; it notes what it is told."""

    kind = "ssh"
    shared = True

    def __init__(self):
        self.domains = {"production": 1, "xenlab-web": 2}
        self.told = []
        self.files = {}
        self.closed = 0

    def run(self, argv, stdin=""):
        self.told.append(" ".join(argv))
        return Completed(tuple(argv), *self._answer(list(argv)))

    def _answer(self, argv):
        if argv[:2] == ["xl", "list"]:
            rows = [table.Row(name, number, 64, 1, "-b----", 1.0) for name, number in self.domains.items()]
            if argv[2:]:
                rows = [row for row in rows if argv[2] in (row.name, str(row.id))]
            return (
                (table.write(rows), "", 0)
                if rows
                else ("", f"{argv[2]} is an invalid domain identifier (rc=-6)\n", 1)
            )
        if argv[:2] == ["xl", "create"]:
            self.domains["xenlab-db"] = 3
        if argv[:2] == ["xl", "destroy"]:
            del self.domains[argv[2]]
        return "", "", 0

    def put(self, data, path):
        self.files[path] = data

    def get(self, path):
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def now(self):
        return 0.0

    def wait(self, seconds):
        pass

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    "command",
    [
        ["destroy", "production"],
        ["destroy", "-f", "1"],
        ["pause", "1"],
        ["sched-credit", "-d", "production", "-w", "512"],
        ["mem-set", "production", "64"],
    ],
)
def test_a_shared_hosts_own_domains_are_refused_and_nothing_is_run(command):
    host = Host(Server())
    with pytest.raises(NotOurs, match="production"):
        host.xl(*command)
    assert "xl " + " ".join(command) not in host.dom0.told


def test_our_own_domains_and_mere_looking_are_allowed():
    host = Host(Server())
    host.xl("list", "production")
    host.xl("vcpu-list", "production")
    host.xl("pause", "xenlab-web")
    assert host.dom0.told[-1] == "xl pause xenlab-web"


def test_a_host_ends_what_it_made_and_nothing_else():
    with Host(Server()) as host:
        made = host.create(name="db")
        assert made.name == "xenlab-db"
        assert b'name = "xenlab-db"' in host.dom0.files["/var/lib/xenlab/xenlab-db.cfg"]
    assert set(host.dom0.domains) == {"production", "xenlab-web"}
    assert host.dom0.closed == 1


def test_a_failed_command_is_in_the_transcript_and_shows_its_command_line():
    host = Host(Server())
    with pytest.raises(CommandFailed) as caught:
        host.xl("list", "nobody")
    assert (
        str(caught.value)
        == "$ xl list nobody\nnobody is an invalid domain identifier (rc=-6)\n(exit status 1)"
    )
    assert host.transcript[-1].status == 1


def test_a_subscriber_hears_of_each_command_until_it_stops_listening():
    host, heard = Host(Server()), []
    stop = host.transcript.subscribe(lambda entry: heard.append(entry.command_line))
    host.xl("list")
    stop()
    host.xl("info")
    assert heard == ["xl list"]
