"""A TA at the review page of a small class."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `review` is not installed")

from starlette.testclient import TestClient

from autograder.gradebook import overrides, reviews
from autograder.gradebook.overrides import WHOLE
from autograder.gradebook.reviews import Kind
from autograder.gradebook.store import open_gradebook
from autograder.results import Result, Status, SubmissionStatus
from autograder.review.access import Access
from autograder.review.app import build
from autograder.review.desk import Desk
from autograder.review.publish import Publisher
from autograder.review.work import alias
from tests.classroom import result, score, small, unanswered

PORT = 8123
ORIGIN = f"http://127.0.0.1:{PORT}"
WRONG = {"halves_a_number": "your result is twice too large"}
CLASS = [
    result("ada", {"Q1": score("Q1", WRONG)}, name="Ada Example"),
    result("bob", {"Q1": score("Q1", WRONG, source="def f(x):\n    return x * 1\n")}, name="Bob Sample"),
    result("cy", {"Q1": score("Q1", WRONG)}, name="Cy Test"),
    result("dot", name="Dot Right"),
    result("eve", {"Q1": unanswered("Q1")}, name="Eve Blank"),
    result("fay", {"Q1": unanswered("Q1", Status.MISSING)}, name="Fay Lost"),
    result("gus", status=SubmissionStatus.NOT_SUBMITTED, questions={}, name="Gus Absent"),
]


class Session:
    """One TA with a browser: a client that has the cookie, and says where its forms come from."""

    def __init__(self, folder: Path, by: str = "tess", seed: str = "seed", **changed: Any) -> None:
        self.folder = folder
        self.access = Access(port=PORT)
        self.publisher = Publisher(folder, "", small())
        plain: dict[str, Any] = {"folder": folder, "url": "", "assignment": small(), "by": by, "names": False}
        plain |= {"reference": {"Q1": "    return x / 2"}, "seed": seed, "publisher": self.publisher}
        self.desk = Desk(**(plain | changed))
        self.client = TestClient(build(self.desk, self.access), base_url=ORIGIN)
        self.client.get(f"/?token={self.access.token}")

    def who(self, student: str) -> str:
        return alias(self.desk.seed, student)

    def page(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def item(self, student: str, question: str = "Q1") -> str:
        return self.page(f"/question/{question}/{self.who(student)}")

    def post(self, path: str, fields: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        headers = {"Origin": ORIGIN} if headers is None else headers
        return self.client.post(path, data=dict(fields), headers=dict(headers))

    def form(self, student: str, question: str = "Q1", **changed: Any) -> dict[str, Any]:
        """The form of a student's page, as a browser would send it."""
        path = f"/student/{self.who(student)}" if question == WHOLE else f"/question/{question}/{self.who(student)}"
        html = self.page(path)
        fields = {name: field(html, name) for name in ("seen", "shown")}
        return fields | {"question": question, "who": self.who(student), "points": "", "comment": "", **changed}

    def decide(self, student: str, question: str = "Q1", **changed: Any) -> Any:
        return self.post("/decide", self.form(student, question, **changed))


def field(html: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', html)
    assert found, name
    return found[1]


def save(folder: Path, *results: Result) -> None:
    with open_gradebook(folder) as gradebook:
        run = gradebook.begin_run("grade", "{}", "grade x")
        for one in results:
            gradebook.save(run, one, {})
        gradebook.end_run(run)


def entries(folder: Path) -> list[tuple[str, str, float | None, str, str]]:
    """The history of a folder: student, question, points, comment, by; of what is undone, nothing."""
    with open_gradebook(folder, writing=False) as gradebook:
        return [
            (one.student, one.question, one.override.points, one.override.comment, one.override.by)
            for one in overrides.history(gradebook)
            if not one.undone
        ]


def reviewed(folder: Path) -> set[tuple[str, str]]:
    with open_gradebook(folder, writing=False) as gradebook:
        return {(one.student, one.question) for one in reviews.marks(gradebook) if one.kind is Kind.REVIEWED}


def walk(session: Session, order: str) -> list[str]:
    """The students in the order in which `Next` leads through a question."""
    names = {session.who(one.student.id): one.student.id for one in CLASS}
    html = session.page(f"/question/Q1/next?order={order}")
    found = [field(html, "who")]
    while following := re.search(r'data-key="j" href="([^"]*)"', html):
        html = session.page(following[1])
        found.append(field(html, "who"))
    return [names[one] for one in found]


def mark(session: Session, student: str, act: str, question: str = "Q1", **more: str) -> Any:
    fields = {"question": question, "who": session.who(student), "order": "group", "act": act}
    return session.post("/mark", fields | more)
