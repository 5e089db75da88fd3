"""The commands about labs: `xenlab check` for students, `release`, `grade` and `report` for instructors.

`xenlab.cli` registers them.
"""

from __future__ import annotations

import glob
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xenlab.commands import XenlabError

if TYPE_CHECKING:
    from xenlab.grading.store import Entry, Store

MASTER = "master.ipynb"
INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended

console = Console()


def grade(
    submissions: Annotated[
        list[Path],
        typer.Argument(help="What a class handed in: a folder, a zip from Moodle or Canvas, notebooks."),
    ],
    lab: Annotated[str, typer.Option(help="The lab's number below labs/, or its folder.", metavar="NN")],
    out: Annotated[
        Path, typer.Option(help="Where results and reports go, and are looked for when run again.")
    ],
    jobs: Annotated[int, typer.Option(min=1, help="How many processes of this machine grade.")] = 1,
    seed_file: Annotated[
        Path | None, typer.Option(help="A file with the secret that seeds of hidden checks are made from.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, whose workers grade instead.")
    ] = None,
) -> None:
    """Grade what a class has handed in, and write the reports. After Ctrl-C, the same command goes on."""
    from xenlab.grading import intake
    from xenlab.grading.batch import Dask, Processes
    from xenlab.grading.classroom import grade_class
    from xenlab.grading.grade import Job, grade_one
    from xenlab.grading.lab import Lab
    from xenlab.grading.store import Store

    master = find_master(lab)
    secret = seed_file.read_text().strip() if seed_file else ""
    handed_in = intake.submissions(submissions)
    store, workers = Store(out), Dask(dask) if dask else Processes(jobs)

    def job(submission: intake.Submission) -> Job:
        # A learning platform knows its students by other numbers than the one that stands in the notebook.
        student = (submission.system and submission.says) or submission.student
        cache = None if dask else out / "master"
        return Job(master, submission.data or b"", student, secret, cache=cache)

    begun = time.monotonic()
    with _Bar(len(handed_in)) as bar:
        try:
            grade_class(Lab.read(master), handed_in, store, workers, grade_one, job, secret, bar.tell)
        except KeyboardInterrupt:
            done = bar.before + bar.now
            console.print(
                f"stopped: {done} of {len(handed_in)} are graded; the same command goes on from there"
            )
            raise typer.Exit(INTERRUPTED) from None
    _say(store, f"{bar.now} graded in {time.monotonic() - begun:.0f} s, {bar.before} known before")


def report(
    folder: Annotated[Path, typer.Argument(help="The folder of `xenlab grade … --out`.", exists=True)],
) -> None:
    """Write the reports of a graded class anew, from its results alone."""
    from xenlab.grading.store import Store

    _say(Store(folder), "written anew")


def release(
    labs: Annotated[list[Path], typer.Argument(help="The labs' folders, or their masters.", exists=True)],
) -> None:
    """Make the students' notebooks of labs: solutions cut, hidden checks gone. Runs each master."""
    from xenlab.grading.publish import publish

    for lab in labs:
        console.print(str(publish(lab)), soft_wrap=True)


def check(
    notebook: Annotated[Path, typer.Argument(help="Your notebook of a lab.", exists=True, dir_okay=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
) -> None:
    """Run the checks of your lab that you have yourself, as they will be run when you are graded."""
    from xenlab.grading.check import as_text
    from xenlab.grading.check import check as checked

    result = checked(notebook)
    print(json.dumps(result.to_json()) if as_json else as_text(result))


def find_master(lab: str, labs: Path = Path("labs")) -> Path:
    """Find a lab's master notebook by the lab's number, or by its folder; raises `XenlabError` if there is none."""
    found = [Path(lab)] if Path(lab).is_dir() else sorted(labs.glob(f"{glob.escape(lab)}_*"))
    if len(found) != 1 or not (found[0] / MASTER).is_file():
        where = f"below {labs.resolve()}: give the number of a lab there, or its folder"
        raise XenlabError(f"--lab {lab}: there is no {MASTER} of it {where}")
    return (found[0] / MASTER).resolve()


def _say(store: Store, how: str) -> None:
    """Write the reports and print where they are, what to heed first."""
    from xenlab.grading.report import degraded, report

    page, entries = report(store.folder), store.entries()
    for words in degraded(entries):
        console.print(f"[bold red]{words}[/]", soft_wrap=True)
    unread = sum(entry.result.problem is not None for entry in entries)
    console.print(f"{len(entries)} submissions, {unread} of them not to be graded: {how}", soft_wrap=True)
    console.print(f"{page}", soft_wrap=True)


class _Bar(Progress):
    """A bar for a class, with the time that is left. What was known before counts for nothing in it."""

    def __init__(self, total: int) -> None:
        columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        super().__init__(*columns, console=console)
        self.before = self.now = 0
        self._all = total
        self._task = self.add_task("", total=total)

    def tell(self, entry: Entry, known: bool) -> None:
        """Count an entry."""
        if known:
            self.before += 1
        else:
            self.now += 1
        self.update(self._task, completed=self.now, total=self._all - self.before)
