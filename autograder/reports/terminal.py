"""Terminal output: progress while a batch is graded, and tables at the end."""

import contextlib
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import console as rich
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from autograder.assignment import Question
from autograder.errors import printable
from autograder.gradebook import changes, views
from autograder.gradebook.run import look_again
from autograder.reports.attention import attention, per_question
from autograder.results import QuestionScore, Result, Status, SubmissionStatus
from autograder.sandbox.confine import Layer

if TYPE_CHECKING:  # the tables need nothing of what calibration and the release check import
    from autograder.authoring.calibrate import Row
    from autograder.authoring.verify import Outcome as RuleOutcome
    from autograder.gradebook.changes import Change
    from autograder.gradebook.rescore import Outcome
    from autograder.gradebook.run import GradingRun
    from autograder.gradebook.store import Gradebook

Advance = Callable[[str, str], None]
"""Called with an item and its outcome."""


class Console(rich.Console):
    """A console that leaves the exit code alone when nobody reads the output any more, as in `| head`."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


MARKS = {
    Status.PASSED: ("", "green"),
    Status.WAITING: ("w", "cyan"),
    Status.FAILED: ("", "yellow"),
    Status.ERROR: ("!", "red"),
    Status.TIMED_OUT: ("⧖", "red"),
    Status.CRASHED: ("✗", "red"),
    Status.NOT_ATTEMPTED: ("·", "dim"),
    Status.MISSING: ("?", "magenta"),
}
LEGEND = "! error   ⧖ timed out   ✗ crashed   · not attempted   ? missing   * dependencies by the reference"
WAITING = "   w written, not graded yet"
ASCII = {ord(mark): other for mark, other in {"⧖": "T", "✗": "X", "·": ".", "—": "-"}.items()}
"""What stands for the marks where the terminal's encoding has none of them."""
STATUSES = {
    SubmissionStatus.GRADED: "graded",
    SubmissionStatus.UNREADABLE: "unreadable",
    SubmissionStatus.NOT_SUBMITTED: "handed in nothing",
}
MAX_TABLE = 20
"""Up to how many students everyone's points are printed; of a larger class they are in grades.csv."""
MAX_STATISTICS = 10
"""Rows of the table of questions, which gets a second half beside the first beyond."""
MIN_STATISTICS = 3
"""From how many graded submissions on medians and means say something."""
PACED = 50
"""From how many items on plain lines also say how fast it goes, ten times in all."""
MAX_ROWS = 60
MAX_REASONS = 40


def show_layers(layers: Sequence[Layer]) -> None:
    """Print each layer of the sandbox: whether it is active, what it does, and below how to enable what is not."""
    table = Table("layer", "", "effect", title="Sandbox layers on this machine")
    for layer in layers:
        state = "[green]active" if layer.active else "[red]missing" if layer.required else "[yellow]not active"
        reason = "" if layer.active else f"; here: {layer.reason}"
        table.add_row(layer.name, state, escape(layer.means + reason))
    console = Console(highlight=False, emoji=False)
    console.print(table)
    for layer in layers:  # not in the table, whose columns would break a command
        if not layer.active and layer.get:
            console.print(f"to enable {layer.name}: {layer.get}", markup=False, soft_wrap=True)
    if any(layer.required and not layer.active for layer in layers):
        console.print("`autograder grade` refuses to run here unless --unsafe is given; every result then says so.")


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[Result], None]]:
    """Show progress; yields a function to call with each result of a batch."""
    with counted(total, "grading") as advance:
        yield lambda result: advance(_name(result), _outcome(result))


@contextlib.contextmanager
def counted(total: int, doing: str) -> Iterator[Advance]:
    """Show a progress bar on a terminal, plain lines elsewhere; yields a function to call at each step."""
    console = Console(stderr=True)
    done, began = 0, time.monotonic()

    def line(what: str, outcome: str) -> None:
        nonlocal done
        done += 1
        often = total >= PACED and done % (total // 10) == 0 and done < total
        so_far = f" ({pace(done, total, time.monotonic() - began)})" if often else ""
        print(f"{done}/{total} {what}: {outcome}{so_far}", file=console.file, flush=True)

    if not console.is_terminal:
        yield line
        return
    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
        TextColumn("{task.fields[last]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total, last="starting", pace="")

        def step(what: str, outcome: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, last=what[:40], pace=pace(done, total, time.monotonic() - began))

        yield step


def pace(done: int, total: int, elapsed_s: float) -> str:
    """Return how fast it goes, and how long the rest takes at that pace."""
    per_minute = done / max(elapsed_s, 1e-3) * 60
    left_s = (total - done) / per_minute * 60
    left = f"{left_s:.0f} s" if left_s < 90 else f"{left_s / 60:.0f} min" if left_s < 5400 else f"{left_s / 3600:.1f} h"
    return f"{per_minute:.{0 if per_minute >= 10 else 1}f} a minute, {left} left"


def _name(result: Result) -> str:
    return printable(result.student.id)


def _reason(result: Result) -> str:
    return printable("; ".join(map(str, result.flags)))


def _outcome(result: Result) -> str:
    if result.has_points:
        return f"{result.total:g} of {result.max_points:g}"
    if result.status is SubmissionStatus.NOT_SUBMITTED:
        return "handed in nothing"
    return f"unreadable: {_reason(result)}"


def show(
    results: Sequence[Result],
    questions: Sequence[Question],
    grades: Path,
    unmatched: Sequence[str] = (),
    left_out: Sequence[tuple[str, str]] = (),
) -> None:
    """Print what needs a TA's eye, how each question went, everyone's points where they fit, and where they are.

    unmatched, left_out: as for `attention`
    """
    console = Console(highlight=False)
    plain = not _can_show(console.encoding)
    needed = 40 + sum(len(question.id) + 3 for question in questions)
    fits = not console.is_terminal or console.width >= needed
    if not console.is_terminal:
        console = Console(highlight=False, width=max(needed, 120))
    for line in attention(results, unmatched, left_out):
        console.print(line, markup=False, soft_wrap=True)
    ordered = sorted(results, key=lambda result: result.student.id)
    graded = [result for result in ordered if result.status is SubmissionStatus.GRADED]
    if len(graded) >= MIN_STATISTICS:
        console.print(statistics_of(graded, questions))
    if len(ordered) <= MAX_TABLE:
        console.print((wide if fits else narrow)(ordered, questions, plain))
        waits = WAITING if any(result.waiting for result in results) else ""
        console.print(f"[dim]{_plain(LEGEND, plain)}{waits}[/]", soft_wrap=True)
    if graded:
        totals = [result.total for result in graded]
        counts = Counter(result.status for result in ordered)
        parts = [f"{counts[status]} {words}" for status, words in STATUSES.items() if counts[status]]
        numbers = f"median {statistics.median(totals):g}, lowest {min(totals):g}, highest {max(totals):g}"
        console.print(f"{', '.join(parts)}; {numbers} of {graded[0].max_points:g}", soft_wrap=True)
    console.print(f"grades: {escape(str(grades))}   reasons: {escape(str(grades.parent / 'results'))}", soft_wrap=True)


def _can_show(encoding: str) -> bool:
    try:
        "".join(map(chr, ASCII)).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _plain(text: str, plain: bool) -> str:
    return text.translate(ASCII) if plain else text


def statistics_of(results: Sequence[Result], questions: Sequence[Question]) -> Table:
    """Return medians and means per question, in two halves next to each other where there are many."""
    rows = per_question(results, questions)
    halves = 2 if len(rows) > MAX_STATISTICS else 1
    height = -(-len(rows) // halves)
    grid = Table(box=None, pad_edge=False, padding=(0, 1))
    for half in range(halves):
        if half:
            grid.add_column("   ")
        grid.add_column("question")
        for name in ("median", "mean", "of"):
            grid.add_column(name, justify="right")
    for place in range(height):
        cells: list[str] = []
        for row in rows[place::height]:
            cells += [*([""] if cells else []), row.id, f"{row.median:g}", f"{row.mean:.2f}", f"{row.points:g}"]
        grid.add_row(*cells)
    return grid


def show_run(
    run: "GradingRun",
    students: Sequence[str],
    folder: Path,
    unmatched: Sequence[str] = (),
    left_out: Sequence[tuple[str, str]] = (),
) -> None:
    """Print what a run found of these students: what needs a human's eye, the table, and what changed.

    unmatched, left_out: as for `attention`
    """
    wanted = set(students)
    results = [one for one in views.current(run.gradebook) if one.student.id in wanted]
    show(results, run.questions, folder / views.GRADES, unmatched, left_out)
    found = run.changes()
    if found:
        show_changes(found, len(results))
    show_look_again(run.gradebook)
    if run.failed:
        print(f"{run.failed} not graded because the grader failed; run the same command again")


def show_look_again(gradebook: "Gradebook") -> None:
    """List the overrides whose computed points have changed since."""
    for line in look_again(gradebook):
        print(printable(line))


def show_rescore(outcome: "Outcome", folder: Path, *, dry_run: bool) -> None:
    """Print whose points a rescore changed, with what each test said before and says now."""
    for one in outcome.changes[:MAX_ROWS]:
        before, after = ("—" if value is None else f"{value:g}" for value in (one.before, one.after))
        print(printable(f"{one.student} {one.question}: {before} -> {after}"))
        for name, then, now in one.tests:
            print(printable(f"    {name.replace('_', ' ')}: {then} -> {now}"))
    if len(outcome.changes) > MAX_ROWS:
        print(f"… and {len(outcome.changes) - MAX_ROWS} more" + ("" if dry_run else f" in {folder / views.CHANGES}"))
    print(changes.summary(outcome.changes, outcome.total))
    if dry_run:
        print("nothing was written; run it without --dry-run to publish")


def show_changes(found: "Sequence[Change]", total: int) -> None:
    """Print whose points changed, then how many went up and down."""
    for one in found[:MAX_ROWS]:
        before, after = ("—" if value is None else f"{value:g}" for value in (one.before, one.after))
        print(printable(f"{one.student} {one.question}: {before} -> {after} ({one.why})"))
    if len(found) > MAX_ROWS:
        print(f"… and {len(found) - MAX_ROWS} more in changes.csv")
    print(changes.summary(found, total))


def wide(results: Sequence[Result], questions: Sequence[Question], plain: bool = False) -> Table:
    """A column for every question; plain: marks in ASCII."""
    grid = Table(box=None, pad_edge=False, padding=(0, 1))
    grid.add_column("student", no_wrap=True, max_width=28)
    grid.add_column("total", justify="right")
    for question in questions:
        sign = "+" if question.bonus else "/"
        grid.add_column(f"{question.id}\n{sign}{question.points:g}", justify="right", no_wrap=True)
    for result in results:
        cells = [_total(result), *(_cell(result.questions.get(q.id)) for q in questions)]
        grid.add_row(escape(_name(result)), *(_plain(cell, plain) for cell in cells))
    return grid


def narrow(results: Sequence[Result], questions: Sequence[Question], plain: bool = False) -> Table:
    """For a narrow terminal: only the questions that did not get full marks; plain: marks in ASCII."""
    grid = Table(box=None, pad_edge=False, padding=(0, 1))
    grid.add_column("student", no_wrap=True, max_width=28)
    grid.add_column("total", justify="right")
    grid.add_column("not full marks")
    for result in results:
        scores = {q.id: result.questions[q.id] for q in questions if q.id in result.questions}
        short = [f"{key} {_cell(score)}/{score.max_points:g}" for key, score in scores.items() if not score.full]
        states = {score.status for score in scores.values()}
        everything = len(short) == len(scores) and len(states) == 1 and bool(short)
        text = f"everything {states.pop().replace('_', ' ')}" if everything else "  ".join(short)
        grid.add_row(escape(_name(result)), _plain(_total(result), plain), _plain(text, plain))
    return grid


def _total(result: Result) -> str:
    return f"{result.total:g}" if result.has_points else "[red]—[/]"


def _cell(score: QuestionScore | None) -> str:
    if score is None:
        return "[red]—[/]"
    mark, colour = MARKS[score.status]
    starred = "*" if score.dependencies == "reference" else ""
    text = f"{score.points:g}{starred}" if score.points or not mark else ""
    return f"[{colour}]{text}{mark}[/]"


def show_rules(name: str, outcomes: "Sequence[RuleOutcome]") -> None:
    """Print each rule of the release check with a tick or a cross, then the reasons for failures, each reason once.

    Reasons stand below the table, one per line: a column would cut their places.
    """
    console = Console(highlight=False, emoji=False)  # to rich, `:1234:` is an emoji
    table = Table("", "check", "", title=f"release check: {name}", title_justify="left")
    for one in outcomes:
        mark = "[green]✓[/]" if one.kept else "[red]✗[/]"
        table.add_row(mark, escape(one.rule), "" if one.kept else f"{len(one.reasons)} to fix")
    console.print(table)
    told: set[str] = set()
    for one in outcomes:
        fresh = [reason for reason in dict.fromkeys(one.reasons) if reason not in told]
        told |= set(fresh)
        lines = fresh[:MAX_REASONS] + [f"… and {len(fresh) - MAX_REASONS} more"] * (len(fresh) > MAX_REASONS)
        for note in one.notes:
            console.print(f"{one.rule}: {note}", markup=False, soft_wrap=True)
        if not one.kept:
            console.print(f"[red]✗[/] {escape(one.rule)}", soft_wrap=True)
            for line in lines or ["as above"]:
                console.print(f"  {line}", markup=False, soft_wrap=True)
    broken = sum(not one.kept for one in outcomes)
    failed = f", {broken} failed" if broken else ""
    console.print(f"release check; {len(outcomes) - broken} of {len(outcomes)} checks passed{failed}")


def show_calibration(rows: "Sequence[Row]", path: Path) -> None:
    """Print what was measured for each loss test."""
    grid = Table(box=None, pad_edge=False)
    for name in ("question", "names", "answer"):
        grid.add_column(name)
    for name in ("mean", "std", "low", "high", "limit", "margin"):
        grid.add_column(name, justify="right")
    for row in rows:
        numbers = [f"{value:.3f}" for value in (row.mean, row.deviation, row.low, row.high, row.limit)]
        grid.add_row(row.question, row.names, escape(row.answer), *numbers, f"{row.margin:.1f} σ")
    console = Console(highlight=False, width=140)
    console.print(grid)
    console.print(f"{rows[0].seeds} seeds; table: {escape(str(path))}", soft_wrap=True)
