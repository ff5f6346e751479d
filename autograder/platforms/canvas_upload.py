"""Points straight into Canvas over its API, one request at a time.

What Canvas has is read first, and only what differs is posted, so that a run after a failure goes on where the last one
stopped and posts nothing twice. Who is excused, unreadable or handed in nothing stays as they are.
"""

import importlib.util
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from autograder.errors import KitError, UsageError, printable
from autograder.platforms.grades import by_keys
from autograder.results import Result

TOKEN = "CANVAS_TOKEN"
ADDRESS = re.compile(
    r"(?P<base>https?://(?P<host>[^/?#@]+))/courses/(?P<course>\d+)/assignments/(?P<assignment>\d+)(?:[/?#].*)?"
)
LOCAL = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?")
PATIENCE = (1.0, 5.0, 20.0, 60.0)
"""Seconds to wait before each new try; Canvas refuses requests for a while when there were too many."""
HOPELESS = 2
"""After this many students in a row who could not be posted, the others are not tried."""

Value = TypeVar("Value")


class CanvasGone(KitError):
    """Canvas does not answer; what was posted stays posted."""


class CanvasRefused(UsageError):
    """Canvas answers, and does not do what it was asked."""


class _Unreachable(Exception):
    """A request whose answer never came, or came broken; what it asked for may have been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One student's points: what Canvas has, None where nothing, and what it should have."""

    student: str
    user: str
    before: float | None
    points: float


@dataclass(slots=True, kw_only=True)
class Comparison:
    """What is to be posted, and who is left as they are: by name or id, as in the report of a filled table."""

    title: str
    postings: list[Posting] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_token(file: Path | None, environment: Mapping[str, str]) -> str:
    """Return the access token, from a file or the environment. It is kept nowhere else, and never printed."""
    where = file or TOKEN
    try:
        token = (file.read_text(encoding="utf-8") if file else environment.get(TOKEN, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the token cannot be read", where, "check the path given with --token-file") from error
    if not token:
        fix = f"make one in Canvas (Account, Settings, New access token) and put it into {TOKEN} or --token-file"
        raise UsageError("no access token", where, fix)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("this is not an access token of Canvas", where, "it is one word of letters and digits")
    return token


class CanvasAssignment:
    """An assignment in Canvas."""

    def __init__(self, address: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        """address: of the assignment's page, as the browser shows it; sleep: how to wait"""
        found = ADDRESS.fullmatch(address.strip())
        if not found:
            fix = "give the address of the assignment's page, https://…/courses/1/assignments/2"
            raise UsageError("this is not the address of an assignment in Canvas", printable(address), fix)
        if found["base"].startswith("http:") and not LOCAL.fullmatch(found["host"]):
            raise UsageError("the token would be sent without encryption", printable(address), "use https")
        if importlib.util.find_spec("canvasapi") is None:
            raise UsageError("canvasapi is not installed", "--upload", "pip install 'homework-autograder[canvas]'")
        import canvasapi

        logging.getLogger("canvasapi").setLevel(logging.WARNING)  # below that it logs requests with parts of the token
        self._address, self._token, self._sleep = found[0], token, sleep
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of addresses on this machine, which have no https
            canvas = canvasapi.Canvas(found["base"], token)
        course = self._ask(lambda: canvas.get_course(int(found["course"])))
        self._assignment: Any = self._ask(lambda: course.get_assignment(int(found["assignment"])))
        self._submissions: dict[str, Any] = {}
        self.title = f"{self._assignment.name} ({course.name})"

    def compare(self, results: Iterable[Result], points: Mapping[str, float]) -> Comparison:
        """Return how Canvas differs from the results.

        points: to post for a student, by id, instead of the total
        """
        known = list(results)
        keys = by_keys(known, "canvas")
        found = Comparison(title=printable(self.title))
        seen: set[int] = set()
        for one in self._ask(lambda: list(self._assignment.get_submissions(include=["user"]))):
            user = getattr(one, "user", None) or {}
            own = [user.get(key) for key in ("sis_user_id", "login_id")]
            names = [f"canvas:{one.user_id}", *(f"id:{text}" for text in own if text), f"id:{one.user_id}"]
            result = next((keys[name] for name in names if name in keys), None)
            if result is None:
                found.without.append(str(user.get("sortable_name") or one.user_id))
                continue
            seen.add(id(result))
            self._submissions[str(one.user_id)] = one
            _sort_in(found, result, one, points)
        found.unknown = [result.student.id for result in known if id(result) not in seen]
        possible, ours = self._assignment.points_possible, max((one.max_points for one in known), default=0.0)
        if possible is not None and float(possible) != ours:
            found.warnings.append(f"in Canvas the maximum is {possible:g}, that of the results {ours:g}")
        return found

    def post(self, postings: Iterable[Posting]) -> Iterator[tuple[Posting, str]]:
        """Post points one by one; yield each with why it failed, empty where Canvas has the points now."""
        in_a_row = 0
        for posting in postings:
            if in_a_row >= HOPELESS:
                yield posting, "not tried"
                continue
            try:
                self._post(posting)
            except (CanvasGone, CanvasRefused) as error:
                in_a_row += isinstance(error, CanvasGone)
                yield posting, error.what
            else:
                in_a_row = 0
                yield posting, ""

    def _post(self, posting: Posting) -> None:
        """Post one student's points. Where an answer got lost, look first whether they have arrived."""
        submission = self._submissions[posting.user]
        asked = False

        def attempt() -> None:
            nonlocal asked
            if asked and _score(self._assignment.get_submission(int(posting.user))) == posting.points:
                return
            asked = True
            submission.edit(submission={"posted_grade": f"{posting.points:.2f}"})

        self._ask(attempt)

    def _ask(self, request: Callable[[], Value]) -> Value:
        """Make a request, again after a while where Canvas is busy or gone. Raises CanvasGone in the end."""
        why = ""
        for wait in (*PATIENCE, None):
            try:
                return self._once(request)
            except _Unreachable as error:
                why = str(error)
            if wait is not None:
                self._sleep(wait)
        raise CanvasGone(why, self._address, "run the same command again later; what is posted stays posted")

    def _once(self, request: Callable[[], Value]) -> Value:
        """Make a request once. Raises _Unreachable where another try may help."""
        import requests
        from canvasapi import exceptions

        try:
            return request()
        except requests.RequestException as error:
            raise _Unreachable(f"no answer from Canvas ({type(error).__name__})") from error
        except (exceptions.InvalidAccessToken, exceptions.Unauthorized) as error:
            fix = "make a new token, by someone who may grade in this course"
            raise CanvasRefused("Canvas refuses the access token", self._address, fix) from error
        except exceptions.CanvasException as error:
            text = printable(str(error)).replace(self._token, "…")[:200]
            if isinstance(error, exceptions.RateLimitExceeded) or "rate limit" in text.lower():
                raise _Unreachable("Canvas is busy (rate limit)") from error
            if re.search(r"status code 5\d\d", text):
                raise _Unreachable(f"Canvas failed ({text})") from error
            raise CanvasRefused(
                f"Canvas refuses ({text})", self._address, "check the address and your rights"
            ) from error


def _sort_in(found: Comparison, result: Result, submission: Any, points: Mapping[str, float]) -> None:
    student = result.student.id
    if getattr(submission, "excused", False):
        found.kept.append(f"{student} (excused)")
    elif not result.has_points and result.status == "unreadable":
        found.unreadable.append(student)
    elif not result.has_points:
        found.absent.append(student)
    else:
        wanted, before = round(points.get(student, result.total), 2), _score(submission)
        if before == wanted:
            found.same.append(student)
        else:
            user = str(submission.user_id)
            found.postings.append(Posting(student=student, user=user, before=before, points=wanted))


def _score(submission: Any) -> float | None:
    """Return the points that were entered, before a late policy of Canvas's own took some off."""
    score = getattr(submission, "entered_score", None)
    if score is None:
        score = getattr(submission, "score", None)
    return None if score is None else round(float(score), 2)


def report(found: Comparison, outcome: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield what to print: a line of counts, what is or would be posted, and who is left as they are.

    outcome: by student, why posting failed, empty where it worked; None where nothing was posted
    """
    failed = {student: why for student, why in (outcome or {}).items() if why}
    posted = len(outcome or {}) - len(failed)
    parts = [
        f"{len(found.postings)} to post" if outcome is None else f"{posted} posted",
        f"{len(failed)} failed",
        f"{len(found.same)} there already",
        f"{len(found.unreadable)} unreadable left as they were",
        f"{len(found.absent)} handed in nothing",
        f"{len(found.kept)} excused",
        f"{len(found.without)} in Canvas but not in the results",
        f"{len(found.unknown)} in the results but not in Canvas",
    ]
    yield f"{found.title}: " + ", ".join(part for i, part in enumerate(parts) if i == 0 or not part.startswith("0 "))
    for one in found.postings:
        before = "—" if one.before is None else f"{one.before:g}"
        why = f" (failed: {failed[one.student]})" if one.student in failed else ""
        yield printable(f"{one.student}: {before} -> {one.points:g}{why}")
    for title, names in (
        ("unreadable", found.unreadable),
        ("handed in nothing", found.absent),
        ("kept", found.kept),
        ("not in the results", found.without),
        ("not in Canvas", found.unknown),
        ("look at this", found.warnings),
    ):
        yield from (f"{title}: {printable(name)}" for name in names)
