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
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from xenlab.commands import XenlabError
from xenlab.grading import cli as grading

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Virtualization in data centres with Xen.")
box = typer.Typer(no_args_is_help=True, help="A real Xen host in QEMU on this machine.")
app.add_typer(box, name="box")
fidelity = typer.Typer(no_args_is_help=True, help="Models held against a real Xen.")
app.add_typer(fidelity, name="fidelity")
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


@app.command("doctor")
def doctor() -> None:
    """Say what this machine offers, what each missing thing costs, and the one command that gets it."""
    from xenlab.doctor import any_host, examine

    colours = {"works": "green", "does not work": "red", "missing": "yellow"}
    table = Table("", "", "found", box=None)
    with console.status("trying what this machine offers"):
        findings = examine()
    for found in findings:
        standing = found.standing.value
        table.add_row(found.what, f"[{colours[standing]}]{standing}[/]", escape(found.found))
    console.print(table)
    for advice in filter(None, (found.advice for found in findings)):
        console.print(f"\n{escape(advice)}", soft_wrap=True, highlight=False)
    if not any_host(findings):
        console.print("[bold red]xenlab:[/] no host works here, not even the simulator")
        raise typer.Exit(1)


@app.command("lab")
def lab(
    browser: Annotated[bool, typer.Option(help="Open a browser window, or only serve.")] = True,
) -> None:
    """Open the book in JupyterLab, and build the box in the background if there is none."""
    from xenlab.lab import serve

    with _told():
        raise typer.Exit(serve(browser))


@app.command("book")
def book(out: Annotated[Path, typer.Argument(help="Where it goes.")] = Path("site")) -> None:
    """Build the book as a web site from this clone's notebooks, run on the simulator."""
    from xenlab.book.build import build

    with _told():
        built = build(out, Path.cwd(), print)
    console.print(f"{built.out}: {built.pages} pages, {built.size / 1e6:.1f} MB", soft_wrap=True)


for command in (grading.check, grading.release, grading.grade, grading.report):
    app.command()(_told()(command))


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


@fidelity.command("scheduling")
def fidelity_scheduling(
    host: Annotated[str, typer.Option(help="The host that is measured; it must have two pCPUs.")] = "box",
    seconds: Annotated[int, typer.Option(help="How long each configuration runs.")] = 12,
    save: Annotated[Path | None, typer.Option(help="Keep what was measured in this CSV file.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw predicted against measured into this PNG file.")
    ] = None,
) -> None:
    """Predict the CPU shares of guests in many configurations, measure them, and print both (about eight minutes)."""
    from xenlab.hosts.fidelity import measure_scheduling
    from xenlab.scheduling import fidelity as model

    measurements = []
    with _told():
        for measurement in measure_scheduling(host, seconds):
            measurements.append(measurement)
            console.print(f"{len(measurements):2d} {measurement.configuration}", soft_wrap=True)
    found = model.compare(measurements)
    table = Table(
        "configuration",
        "guest",
        *(Column(name, justify="right") for name in ("predicted %", "measured %", "error")),
    )
    for row in found.itertuples():
        numbers = (f"{row.predicted:.1f}", f"{row.measured:.1f}", f"{row.error:+.1f}")
        table.add_row(str(row.configuration), str(row.guest), *numbers)
    console.print(table)
    errors = found.error.abs()
    console.print(f"difference: median {errors.median():.2f}, largest {errors.max():.1f} percentage points")
    if save is not None:
        model.save(measurements, save)
    if figure is not None:
        from xenlab.scheduling.view import fidelity_figure

        fidelity_figure(found)[0].savefig(figure)
