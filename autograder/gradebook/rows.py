"""Results as rows of the database, and back."""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from autograder.gradebook import schema
from autograder.gradebook.blobs import Body, read_blobs, write_blobs
from autograder.pictures import Picture
from autograder.results import (
    Audience,
    Flag,
    GradedAnswer,
    LmsIdentity,
    QuestionScore,
    Result,
    Status,
    Student,
    SubmissionStatus,
    SubmittedFile,
    TestScore,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A result as it was computed, the run that computed it, and digests of what decided it."""

    result: Result
    run: int
    grader: Mapping[str, str]


def save_result(connection: Connection, run: int, result: Result, grader: Mapping[str, str]) -> None:
    """Keep a computed result; a result of the same run and student is replaced. Overrides are not part of it."""
    _delete(connection, run, result.student.id)
    _insert(connection, run, result, grader)


def _delete(connection: Connection, run: int, student: str) -> None:
    old = select(schema.results.c.id).where(schema.results.c.run == run, schema.results.c.student == student)
    for table in (schema.scores, schema.tests, schema.flags):
        connection.execute(table.delete().where(table.c.result.in_(old)))
    connection.execute(schema.results.delete().where(schema.results.c.run == run, schema.results.c.student == student))


def _insert(connection: Connection, run: int, result: Result, grader: Mapping[str, str]) -> None:
    write_student(connection, result.student)
    row = {
        "run": run,
        "student": result.student.id,
        "submission": _submission(connection, result),
        "status": result.status.value,
        "assignment": result.assignment,
        "version": result.version,
        "max_points": result.max_points,
        "grader": json.dumps(dict(grader)),
    }
    key = int(connection.execute(insert(schema.results).values(**row).returning(schema.results.c.id)).scalar_one())
    answers = {question: score.answer for question, score in result.questions.items() if score.answer}
    bodies = {
        question: Body(content=one.source.encode(), place=b"answer " + question.encode())
        for question, one in answers.items()
    }
    digests = write_blobs(connection, bodies)
    scores = [
        {
            "result": key,
            "question": question,
            "position": position,
            "computed": score.computed,
            "max_points": score.max_points,
            "bonus": score.bonus,
            "status": score.status.value,
            "dependencies": score.dependencies,
            "file": score.answer.file if score.answer else None,
            "answer": digests.get(question),
        }
        for position, (question, score) in enumerate(result.questions.items())
    ]
    tests = [
        {"result": key, "question": question, "position": position, **_test_row(test)}
        for question, score in result.questions.items()
        for position, test in enumerate(score.tests)
    ]
    flags = [{"result": key, "position": i, **asdict(flag)} for i, flag in enumerate(result.flags)]
    for table, rows in ((schema.scores, scores), (schema.tests, tests), (schema.flags, flags)):
        if rows:
            connection.execute(insert(table), rows)


def _test_row(test: TestScore) -> dict[str, Any]:
    return asdict(test) | {"picture": test.picture.to_json() if test.picture else None}


def write_student(connection: Connection, student: Student) -> None:
    """Add a person, or bring their name, group and LMS identity up to date."""
    values: dict[str, Any] = {"name": student.name, "team": student.group, "extension": student.extension_minutes}
    values["lms"] = json.dumps(asdict(student.lms)) if student.lms else None
    known = select(schema.students.c.id).where(schema.students.c.id == student.id)
    if connection.execute(known).first():
        connection.execute(update(schema.students).where(schema.students.c.id == student.id).values(**values))
    else:
        connection.execute(insert(schema.students).values(id=student.id, **values))


def _submission(connection: Connection, result: Result) -> int:
    """Return the key of what was handed in, which is added where it is new."""
    values = {
        "student": result.student.id,
        "sha256": result.sha256,
        "label": result.submission,
        "submitted": result.submitted,
        "late": json.dumps(result.late) if result.late is not None else None,
        "files": json.dumps([asdict(one) for one in result.files]),
    }
    columns = schema.submissions.c
    same = [columns[name] == value if value is not None else columns[name].is_(None) for name, value in values.items()]
    known = connection.execute(select(columns.id).where(*same)).first()
    if known:
        return int(known[0])
    new = insert(schema.submissions).values(**values).returning(schema.submissions.c.id)
    return int(connection.execute(new).scalar_one())


def assemble(
    connection: Connection, rows: Iterable[Row[Any]], *, tests: bool, question: str | None = None
) -> Iterator[Saved]:
    """Yield the results of rows of `results`, joined with submissions and students.

    tests: with tests and answers; question: only this one
    """
    rows = list(rows)
    keys = [row.results_id for row in rows]

    def in_order(table: Any) -> Select[Any]:
        query = select(table).order_by(table.c.position)
        return query if question is None else query.where(table.c.question == question)

    scores = _grouped(connection, in_order(schema.scores), schema.scores, keys)
    flags = _grouped(connection, select(schema.flags).order_by(schema.flags.c.position), schema.flags, keys)
    details: dict[tuple[int, str], list[Any]] = {}
    answers: dict[bytes, str] = {}
    if tests:
        for found in _grouped(connection, in_order(schema.tests), schema.tests, keys).values():
            for test in found:
                details.setdefault((test.result, test.question), []).append(test)
        digests = {one.answer for found in scores.values() for one in found if one.answer is not None}
        answers = {key: body.decode() for key, body in read_blobs(connection, digests).items()}
    for row in rows:
        key = row.results_id
        questions = {
            one.question: _score(one, answers, details.get((key, one.question), ())) for one in scores.get(key, ())
        }
        yield Saved(
            result=_result(row, questions, [_flag(one) for one in flags.get(key, ())]),
            run=row.results_run,
            grader=fingerprint_of(row.results_grader),
        )


@functools.lru_cache(maxsize=64)
def fingerprint_of(text: str) -> Mapping[str, str]:
    """Read a fingerprint, which most of a class share; nobody may change it."""
    found: dict[str, str] = json.loads(text)
    return found


def _grouped(connection: Connection, query: Select[Any], table: Any, keys: list[int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in connection.execute(query.where(table.c.result.in_(keys))):
        found.setdefault(row.result, []).append(row)
    return found


def student_of(row: Any, prefix: str = "") -> Student:
    """Return the person in a row whose columns begin with this prefix."""
    values = {key: getattr(row, prefix + key) for key in ("id", "name", "team", "lms", "extension")}
    lms = json.loads(values["lms"]) if values["lms"] else None
    identity = LmsIdentity(**{**lms, "attachments": tuple(lms["attachments"])}) if lms else None
    return Student(
        id=values["id"],
        name=values["name"],
        group=values["team"],
        lms=identity,
        extension_minutes=values["extension"],
    )


def _flag(row: Any) -> Flag:
    return Flag(kind=row.kind, question=row.question, text=row.text, audience=Audience(row.audience))


def _score(row: Any, answers: Mapping[bytes, str], tests: Sequence[Any]) -> QuestionScore:
    answer = _answer(row.file or "", answers[row.answer]) if row.answer in answers else None
    return QuestionScore(
        computed=row.computed,
        max_points=row.max_points,
        bonus=row.bonus,
        status=Status(row.status),
        dependencies=row.dependencies,
        answer=answer,
        tests=tuple(
            _test(test.name, test.status, test.points, test.max_points, test.message, test.hint, test.picture)
            for test in tests
        ),
    )


@functools.lru_cache(maxsize=20_000)
def _test(
    name: str, status: str, points: float, max_points: float, message: str, hint: str, picture: str | None
) -> TestScore:
    """Return the score of a test; what is the same for much of a class is in memory once."""
    return TestScore(
        name=name,
        status=Status(status),
        points=points,
        max_points=max_points,
        message=message,
        hint=hint,
        picture=Picture.from_json(picture) if picture else None,
    )


@functools.lru_cache(maxsize=2_000)
def _answer(file: str, source: str) -> GradedAnswer:
    return GradedAnswer(file=file, source=source)


def _result(row: Any, questions: Mapping[str, QuestionScore], flags: list[Flag]) -> Result:
    return Result(
        student=student_of(row, "students_"),
        submission=row.submissions_label,
        sha256=row.submissions_sha256,
        assignment=row.results_assignment,
        version=row.results_version,
        status=SubmissionStatus(row.results_status),
        max_points=row.results_max_points,
        flags=tuple(flags),
        questions=questions,
        submitted=row.submissions_submitted,
        late=json.loads(row.submissions_late) if row.submissions_late else None,
        files=tuple(SubmittedFile(**one) for one in json.loads(row.submissions_files)),
    )
