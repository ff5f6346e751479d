"""The gradebook: everything that runs computed and people decided, in one SQL database.

SQLite in the results folder by default, any SQLAlchemy URL otherwise. Each result is committed as it comes, so that a
run that is killed loses nothing that was finished. One writer at a time: a lock that goes away with its process.
"""

import contextlib
import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    LABEL_STYLE_TABLENAME_PLUS_COL,
    Connection,
    Engine,
    Row,
    Select,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from autograder.errors import GraderFault, UsageError
from autograder.gradebook import schema
from autograder.gradebook.blobs import read_blobs, write_blobs
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

FILE = "gradebook.db"
LOCK = ".lock"
CHUNK = 500
"""How many students one query reads, so that memory stays flat however many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A result as it was computed, the run that computed it, and digests of what decided it."""

    result: Result
    run: int
    grader: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One `grade` or `rescore` over the gradebook; times are ISO, `finished` None where it was interrupted."""

    id: int
    kind: str
    started: str
    finished: str | None
    kit: str
    command: str


def now() -> str:
    """Return the time as ISO text with its zone, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Gradebook:
    """An open gradebook. Use `open_gradebook`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def get_meta(self, key: str) -> str:
        """Return a remembered text, empty where there is none."""
        with self.engine.connect() as connection:
            query = select(schema.meta.c.value).where(schema.meta.c.key == key)
            return str(connection.execute(query).scalar_one_or_none() or "")

    def set_meta(self, key: str, value: str) -> None:
        """Remember a text under a key."""
        with self.engine.begin() as connection:
            connection.execute(schema.meta.delete().where(schema.meta.c.key == key))
            connection.execute(insert(schema.meta).values(key=key, value=value))

    def begin_run(self, kind: str, kit: str, command: str) -> int:
        """Record that a run has started; its id."""
        row = {"kind": kind, "kit": kit, "command": command, "started": now()}
        with self.engine.begin() as connection:
            return int(connection.execute(insert(schema.runs).values(**row).returning(schema.runs.c.id)).scalar_one())

    def end_run(self, run: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(schema.runs).where(schema.runs.c.id == run).values(finished=now()))

    def runs(self) -> list[Run]:
        """Return every run, oldest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(schema.runs).order_by(schema.runs.c.id))
            return [Run(**row._mapping) for row in rows]

    def save(self, run: int, result: Result, grader: Mapping[str, str]) -> None:
        """Keep a computed result; a result of the same run and student is replaced. Overrides are not part of it.

        Raises GraderFault when the database cannot be written, for instance because the disk is full.
        """
        try:
            with self.engine.begin() as connection:
                _delete(connection, run, result.student.id)
                _insert(connection, run, result, grader)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error)
            fix = "make room or repair it, then run the same command again: what is finished is kept"
            raise GraderFault(f"the gradebook cannot be written ({reason})", self.engine.url.database, fix) from error

    def students(self) -> list[Student]:
        """Return everyone the gradebook knows, in the order of their ids."""
        with self.engine.connect() as connection:
            return [_student(row) for row in connection.execute(select(schema.students).order_by(schema.students.c.id))]

    def saved(
        self, run: int | None = None, *, tests: bool = True, student: str | None = None, question: str | None = None
    ) -> Iterator[Saved]:
        """Yield the newest result of each student, in the order of their ids.

        run: as things stood after this run (default: now); student, question: only this one
        tests: with tests and answers, which most views do not need
        """
        newest = select(func.max(schema.results.c.id)).group_by(schema.results.c.student)
        if run is not None:
            newest = newest.where(schema.results.c.run <= run)
        if student is not None:
            newest = newest.where(schema.results.c.student == student)
        wanted = (
            select(schema.results, schema.submissions, schema.students)
            .join(schema.submissions, schema.results.c.submission == schema.submissions.c.id)
            .join(schema.students, schema.results.c.student == schema.students.c.id)
            .where(schema.results.c.id.in_(newest))
            .order_by(schema.students.c.id)
            .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
        )
        with self.engine.connect() as connection:
            rows = connection.execute(wanted).all()
            for start in range(0, len(rows), CHUNK):
                yield from _assemble(connection, rows[start : start + CHUNK], tests=tests, question=question)


def database_url(folder: Path, url: str = "") -> str:
    """Return the URL of the gradebook of a results folder: the given one, else that of its own file."""
    return url or f"sqlite:///{folder.resolve() / FILE}"


@contextlib.contextmanager
def open_gradebook(folder: Path, url: str = "", *, writing: bool = True) -> Iterator[Gradebook]:
    """Open the gradebook of a results folder, making both where there are none.

    url: a SQLAlchemy URL (default: `gradebook.db` in the folder)
    writing: take the lock; without it the folder must hold a gradebook already
    Raises UsageError where it cannot be opened, or another run is writing into it.
    """
    path = folder / FILE
    with contextlib.ExitStack() as stack:
        if writing:
            stack.enter_context(locked(folder))
        engine = connect(database_url(folder, url))
        stack.callback(engine.dispose)
        file = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
        if not writing and file and not Path(file).is_file():
            raise UsageError("no results here", url or folder, "give the folder that `autograder grade --out` wrote")
        try:
            schema.prepare(engine, str(path if not url else make_url(url).render_as_string()))
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            fix = "move it away to begin a new one, or correct --db"
            raise UsageError(f"the gradebook cannot be opened ({reason})", url or path, fix) from error
        yield Gradebook(engine)


def connect(url: str) -> Engine:
    """Return the engine of a database. Raises UsageError for a URL that SQLAlchemy cannot use."""
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError) as error:
        raise UsageError(f"not a usable database URL ({error})", "--db", "give a SQLAlchemy URL") from error
    if engine.url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _settings)
    return engine


def _settings(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the one writer of results. Raises UsageError when another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
    except OSError as error:
        fix = "choose another folder with --out"
        raise UsageError(f"the results cannot be written here ({error.strerror})", folder, fix) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            fix = "wait for it, or choose another folder with --out"
            raise UsageError("another run is writing into this folder", folder, fix) from error
        yield


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
    digests = write_blobs(connection, {question: one.source.encode() for question, one in answers.items()})
    scores = [
        {
            "result": key,
            "question": question,
            "position": position,
            "computed": score.computed,
            "max_points": score.max_points,
            "status": score.status.value,
            "dependencies": score.dependencies,
            "file": score.answer.file if score.answer else None,
            "answer": digests.get(question),
        }
        for position, (question, score) in enumerate(result.questions.items())
    ]
    tests = [
        {"result": key, "question": question, "position": position, **asdict(test)}
        for question, score in result.questions.items()
        for position, test in enumerate(score.tests)
    ]
    flags = [{"result": key, "position": i, **asdict(flag)} for i, flag in enumerate(result.flags)]
    for table, rows in ((schema.scores, scores), (schema.tests, tests), (schema.flags, flags)):
        if rows:
            connection.execute(insert(table), rows)


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


def _assemble(
    connection: Connection, rows: Iterable[Row[Any]], *, tests: bool, question: str | None
) -> Iterator[Saved]:
    rows = list(rows)
    keys = [row.results_id for row in rows]

    def in_order(table: Any) -> Select[Any]:
        query = select(table).order_by(table.c.position)
        return query if question is None else query.where(table.c.question == question)

    scores = _grouped(connection, in_order(schema.scores), schema.scores, keys)
    flags = _grouped(connection, select(schema.flags).order_by(schema.flags.c.position), schema.flags, keys)
    details: dict[int, list[Any]] = {}
    answers: dict[bytes, str] = {}
    if tests:
        details = _grouped(connection, in_order(schema.tests), schema.tests, keys)
        digests = {one.answer for found in scores.values() for one in found if one.answer is not None}
        answers = {key: body.decode() for key, body in read_blobs(connection, digests).items()}
    for row in rows:
        key = row.results_id
        questions = {
            one.question: _score(one, answers, [test for test in details.get(key, ()) if test.question == one.question])
            for one in scores.get(key, ())
        }
        yield Saved(
            result=_result(row, questions, [_flag(one) for one in flags.get(key, ())]),
            run=row.results_run,
            grader=json.loads(row.results_grader),
        )


def _grouped(connection: Connection, query: Select[Any], table: Any, keys: list[int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in connection.execute(query.where(table.c.result.in_(keys))):
        found.setdefault(row.result, []).append(row)
    return found


def _student(row: Any, prefix: str = "") -> Student:
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


def _score(row: Any, answers: Mapping[bytes, str], tests: list[Any]) -> QuestionScore:
    answer = GradedAnswer(file=row.file or "", source=answers[row.answer]) if row.answer in answers else None
    return QuestionScore(
        computed=row.computed,
        max_points=row.max_points,
        status=Status(row.status),
        dependencies=row.dependencies,
        answer=answer,
        tests=tuple(
            TestScore(
                name=test.name,
                status=Status(test.status),
                points=test.points,
                max_points=test.max_points,
                message=test.message,
                hint=test.hint,
            )
            for test in tests
        ),
    )


def _result(row: Any, questions: Mapping[str, QuestionScore], flags: list[Flag]) -> Result:
    return Result(
        student=_student(row, "students_"),
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
