"""The ``xenlab`` command."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from xenlab.commands import XenlabError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Virtualization in data centres with Xen.")
box = typer.Typer(no_args_is_help=True, help="A real Xen host in QEMU on this machine.")
app.add_typer(box, name="box")
console = Console()

Name = Annotated[str, typer.Argument(help="The box's name.")]


@contextmanager
def _told() -> Iterator[None]:
    """Show an error of ours as its message, not as a traceback."""
    try:
        yield
    except (XenlabError, OSError, LookupError, ValueError) as error:
        Console(stderr=True).print(f"[bold red]xenlab:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


@box.command("build")
def build(
    small_guest: Annotated[
        bool,
        typer.Option(
            "--small-guest", help="Compile the small guest kernel: eight minutes more, faster guests."
        ),
    ] = False,
) -> None:
    """Build the image from this machine's own package sources (no root needed)."""
    from xenlab.hosts.box import image

    columns = (
        TextColumn("{task.description:<36}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with _told(), Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=1.0)
        built = image.build(
            lambda step, done: bar.update(task, description=step, completed=done), small_guest=small_guest
        )
    console.print(f"image: {built.folder} ({built.bytes_on_disk / 2**20:.0f} MiB)", soft_wrap=True)


@box.command("up")
def up(name: Name = "box") -> None:
    """Start a box that ends with the shell this was typed in, or with `xenlab box down`."""
    from xenlab.hosts.box.box import Box
    from xenlab.hosts.ssh import SshDom0

    with _told():
        started = Box(name, owner=os.getppid())
        print(started.run(["xl", "list"]).stdout, end="")
        SshDom0.close(started)  # leave it running: its owner is the shell
    console.print(f"box {name!r} is up; use it with XENLAB_HOST=box:{name}")


@box.command("status")
def status() -> None:
    """List the boxes that are running, and the image."""
    from xenlab.hosts.box import image
    from xenlab.hosts.box.box import boxes

    table = Table("box", "port on 127.0.0.1", "owner's process id")
    for running in boxes():
        table.add_row(running.name, str(running.port), str(running.owner))
    console.print(table)
    with _told():
        found = image.find()
        console.print(f"image: {found.folder} ({found.bytes_on_disk / 2**20:.0f} MiB)", soft_wrap=True)


@box.command("ssh", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh(context: typer.Context, name: Name = "box") -> None:
    """Open a shell in a running box's dom0, or run a command there: `xenlab box ssh NAME xl list`."""
    from xenlab.hosts.box.box import Keys, find_running

    with _told(), tempfile.TemporaryDirectory(prefix="xenlab-ssh-") as folder:
        running = find_running(name)
        keys = Keys.load(running.run)
        identity, known = Path(folder) / "key", Path(folder) / "known_hosts"
        identity.touch(mode=0o600)
        identity.write_bytes(keys.client.export_private_key())
        known.write_text(f"[127.0.0.1]:{running.port} {keys.host.export_public_key().decode()}")
        options = [
            "-F",
            "none",
            "-p",
            str(running.port),
            "-i",
            str(identity),
            "-o",
            f"UserKnownHostsFile={known}",
        ]
        raise typer.Exit(subprocess.call(["ssh", *options, "root@127.0.0.1", *context.args]))


@box.command("down")
def down(name: Name = "box") -> None:
    """End a running box; what was done in it is gone."""
    from xenlab.hosts.box.box import end, find_running

    with _told():
        end(find_running(name))


@box.command("reset")
def reset(name: Name = "box") -> None:
    """End a running box and start it afresh from the snapshot."""
    down(name)
    up(name)


@app.command("lab")
def lab(
    browser: Annotated[bool, typer.Option(help="Open a browser window, or only serve.")] = True,
) -> None:
    """Open the book in JupyterLab, and build the box in the background if there is none."""
    from xenlab.lab import serve

    with _told():
        raise typer.Exit(serve(browser))


@app.command("compare")
def compare(
    file: Annotated[Path, typer.Argument(help="One command line a row; # begins a comment.", exists=True)],
    left: Annotated[str, typer.Option(help="The host that is judged.")] = "sim",
    right: Annotated[str, typer.Option(help="The host that is right.")] = "box",
) -> None:
    """Run the same command lines on two hosts and print where they differ (exit status 0: nowhere)."""
    from xenlab.hosts.compare import compare_file
    from xenlab.hosts.connect import connect

    with _told(), connect(left) as judged, connect(right) as oracle:
        differences = compare_file(file, judged.dom0, oracle.dom0)
    for difference in differences:
        print(difference)
    print(f"{len(differences)} rows differ between {left} and {right}")
    raise typer.Exit(1 if differences else 0)
