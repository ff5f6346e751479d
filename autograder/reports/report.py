"""What a lecturer reads: the class as a page, and a page per question. Members are named, examples are not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from autograder.assignment import Assignment
from autograder.gradebook.changes import Change
from autograder.gradebook.files import file_stem, make_folder, write_whole, writing
from autograder.reports import svg
from autograder.reports.code import Line, code_lines, failing_line, own_lines
from autograder.reports.cohort import Cluster, Cohort, Mistake, QuestionFigures, cohort
from autograder.reports.feedback import FOLDER as FEEDBACK
from autograder.reports.html import clipped, render
from autograder.reports.words import IN_WORDS, by_message, late_in_words, lost, points, sentence
from autograder.results import Result, Status, Student, SubmissionStatus
from autograder.wording import number_of

FOLDER = "report"
MOST_MISTAKES = 12
MOST_EXAMPLE = 1500
MOST_OTHERS = 6
"""Distinct answers of a group that its page shows besides the first."""
MOST_GROUPS = 60
"""Groups of a question that its page shows with their code; all others are one student each."""
MOST_STUDENTS = 2000
"""Students in one table, which a browser sorts and filters at once; of a larger class there are several pages."""
MOST_MESSAGE = 300
MOST_ROWS = 500
"""Rows of changes, flags and time-outs that a page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A student in the table. notes: the words that its filter knows"""

    id: str
    name: str
    group: str
    link: str
    status: str
    total: str
    cells: tuple[str, ...]
    late: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A common mistake with an example."""

    question: str
    link: str
    message: str
    tests: str
    count: int
    share: float
    code: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A cluster as a page shows it: what fails, who, one answer, and others that behave the same."""

    title: str
    failed: tuple[tuple[tuple[str, ...], str], ...]
    points: str
    members: tuple[tuple[str, str, str], ...]
    code: tuple[Line, ...]
    others: tuple[tuple[Line, ...], ...]
    left_out: int


def write_report(
    results: Iterable[Result],
    assignment: Assignment,
    folder: Path,
    changes: Sequence[Change] = (),
    pages: Mapping[str, str] | None = None,
) -> Path:
    """Write report/index.html and report/question-<id>.html; the path of the first.

    changes: since the run before; pages: further pages of the report, by file name, to link to
    """
    figures = cohort(results, assignment, changes)
    target = folder / FOLDER
    make_folder(target)
    people = {one.student.id: one.student for one in (*figures.graded, *figures.unreadable, *figures.not_submitted)}
    for question in figures.questions:
        write_whole(target / question_file(question.id), question_html(question, people, assignment))
    tables = student_tables(figures)
    for path in target.glob("students-*.html"):
        with writing(path):
            path.unlink()  # of a class that was larger
    for table in tables[1:]:
        write_whole(target / table["part"], render("students.html", title=assignment.title, **table))
    write_whole(target / "index.html", index_html(figures, assignment, pages))
    return target / "index.html"


def student_tables(figures: Cohort) -> list[dict[str, Any]]:
    """Return the values of each page with a table of students, the page of the class first.

    part: its file; parts: every file with the first and the last student in it
    """
    everyone = sorted((*figures.graded, *figures.unreadable, *figures.not_submitted), key=lambda one: one.student.id)
    split = [everyone[at : at + MOST_STUDENTS] for at in range(0, len(everyone), MOST_STUDENTS)] or [[]]
    files = ["index.html", *(f"students-{number}.html" for number in range(2, len(split) + 1))]
    ends = [[clipped(one.student.id, 60) for one in (some[0], some[-1])] for some in split if some]
    parts = [(file, *end) for file, end in zip(files, ends, strict=False)]
    keys = [one.id for one in figures.questions]
    shared = {"keys": keys, "grouped": any(one.student.group for one in everyone), "parts": parts}
    return [
        {**shared, "part": file, "students": len(everyone), "rows": [_row(one, keys) for one in some]}
        for file, some in zip(files, split, strict=True)
    ]


def question_file(question: str) -> str:
    """Return the name of a question's page."""
    return f"question-{file_stem(question)}.html"


def feedback_link(student: str) -> str:
    """Return the address of a student's feedback, as a page of the report writes it."""
    return f"../{FEEDBACK}/{quote(file_stem(student), errors='replace')}.html"


def index_html(figures: Cohort, assignment: Assignment, pages: Mapping[str, str] | None = None) -> str:
    """Return the page of the class."""
    table = student_tables(figures)[0]
    return render(
        "report.html",
        title=assignment.title,
        version=assignment.version,
        figures=figures,
        histogram=svg.histogram(figures.counts, figures.max_points),
        links={key: quote(question_file(key)) for key in table["keys"]},
        explain=[(one, [clipped(m.message, MOST_MESSAGE) for m in one.mistakes[:2]]) for one in figures.explain_again],
        mistakes=[_told(one, assignment) for one in figures.mistakes[:MOST_MISTAKES]],
        stopped=[(one, feedback_link(one), key, _ended(status)) for one, key, status in figures.stopped[:MOST_ROWS]],
        flags=[
            (
                kind.replace("_", " "),
                len(found),
                [(one, feedback_link(one), _short(flag)) for one, flag in found[:MOST_ROWS]],
            )
            for kind, found in figures.flags
        ],
        changes=[(one, feedback_link(one.student)) for one in figures.changes[:MOST_ROWS]],
        pages=dict(pages or {}),
        **table,
    )


def _short(text: object) -> str:
    return clipped(str(text), MOST_MESSAGE)


def _ended(status: Status) -> str:
    return "timed out" if status is Status.TIMED_OUT else "crashed"


def _told(one: Mistake, assignment: Assignment) -> Told:
    own = own_lines(one.example, one.question, assignment)
    return Told(
        question=one.question,
        link=quote(question_file(one.question)),
        message=_short(one.message),
        tests="; ".join(map(sentence, one.tests)),
        count=one.count,
        share=one.share,
        code=tuple(code_lines(one.example, own, most=MOST_EXAMPLE)),
    )


def _row(result: Result, keys: Sequence[str]) -> Row:
    scores = [result.questions.get(key) for key in keys]
    student = result.student
    return Row(
        id=clipped(student.id, 120),
        name=clipped(student.name, 120),
        group=clipped(student.group or "", 60),
        link=feedback_link(student.id),
        status=result.status.value,
        total=points(result.total) if result.has_points else "",
        cells=tuple(points(one.points) if one and one.status is not Status.WAITING else "" for one in scores),
        late=points(result.late) if isinstance(result.late, int | float) else "",
        notes=tuple(_notes(result)),
    )


def _notes(result: Result) -> Iterator[str]:
    if result.status is not SubmissionStatus.GRADED:
        yield result.status.value.replace("_", "-")
    if any(flag.kind != "override" for flag in result.flags):
        yield "flag"
    if result.waiting:
        yield "waiting"
    if late_in_words(result):
        yield "late"
    if result.override or any(score.override for score in result.questions.values()):
        yield "overridden"


def question_html(question: QuestionFigures, people: Mapping[str, Student], assignment: Assignment) -> str:
    """Return the page of one question: how its tests went, then its answers by what fails."""
    return render(
        "question.html",
        title=assignment.title,
        question=question,
        groups=[_group(one, question, people, assignment) for one in question.clusters[:MOST_GROUPS]],
        single=[
            (one.members[0], feedback_link(one.members[0]), _short(lost(one.failed[0])) if one.failed else "")
            for one in question.clusters[MOST_GROUPS:]
        ],
        without=[_member(one, people) for one in question.without_answer],
    )


def _group(one: Cluster, question: QuestionFigures, people: Mapping[str, Student], assignment: Assignment) -> Group:
    marked = {failing_line(test.message, question.id) for test in one.failed} - {0}

    def code(source: str, lines: set[int]) -> tuple[Line, ...]:
        own = own_lines(source, question.id, assignment)
        return tuple(code_lines(source, own, lines, MOST_EXAMPLE, python=bool(question.defines)))

    shown = one.sources[1 : 1 + MOST_OTHERS]
    return Group(
        title=group_title(one),
        failed=tuple(
            (tuple(_short(sentence(test.name)) for test in tests), _short(message))
            for message, tests in by_message(one.failed).items()
        ),
        points=f"{points(one.points)} of {points(question.max_points)}",
        members=tuple(_member(student, people) for student in one.members),
        code=code(one.sources[0], marked if len(one.sources) == 1 else set()) if one.sources else (),
        others=tuple(code(source, set()) for source in shown),
        left_out=max(0, len(one.sources) - 1 - len(shown)),
    )


def group_title(one: Cluster) -> str:
    """Return what a group has in common, in a few words."""
    if one.written:
        return "the same words"
    if one.status is Status.PASSED:
        return "all tests passed"
    if len({test.status for test in one.failed}) == 1 and one.status is not Status.FAILED:
        return IN_WORDS[one.status].replace("your", "their")
    return f"{number_of(len(one.failed), 'test')} not passed"


def _member(student: str, people: Mapping[str, Student]) -> tuple[str, str, str]:
    """Id, name and address of somebody's feedback."""
    known = people.get(student)
    return clipped(student, 120), clipped(known.name, 120) if known else "", feedback_link(student)
