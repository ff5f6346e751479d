"""The review page: who may talk to it, what it shows, and what a decision does to the gradebook."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `review` is not installed")

from starlette.testclient import TestClient

from autograder.cli import main
from autograder.gradebook import overrides, reviews
from autograder.gradebook.overrides import WHOLE
from autograder.gradebook.reviews import Kind
from autograder.gradebook.store import FILE, open_gradebook
from autograder.results import Flag, Result, Status, SubmissionStatus
from autograder.review.access import Access
from autograder.review.app import build
from autograder.review.desk import MOST_COMMENT, Desk
from autograder.review.publish import Publisher
from autograder.review.work import alias
from tests import HOME
from tests.classroom import HOSTILE, result, score, small, unanswered
from tests.html_text import Page

PORT = 8123
ORIGIN = f"http://127.0.0.1:{PORT}"
AT = "2026-11-22T10:00:00+00:00"
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


@pytest.fixture(scope="module")
def saved_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("class")
    save(home, *CLASS)
    return home / FILE


@pytest.fixture
def folder(tmp_path: Path, saved_class: Path) -> Path:
    shutil.copy(saved_class, tmp_path)
    return tmp_path


@pytest.fixture
def tess(folder: Path) -> Session:
    return Session(folder)


# Who may talk to it.


def test_the_token_is_exchanged_for_a_cookie_that_scripts_and_other_sites_do_not_have(folder: Path) -> None:
    session = Session(folder)
    session.client.cookies.clear()
    answer = session.client.get(f"/?token={session.access.token}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert session.access.token not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.parametrize("path", ["/", "/question/Q1", "/student/x", "/nothing", "/?token=", "/?token=wrong"])
def test_without_the_token_nothing_is_told(tess: Session, path: str) -> None:
    tess.client.cookies.clear()
    answer = tess.client.get(path)
    assert answer.status_code == 403
    assert "Q1" not in answer.text


def test_the_token_opens_one_address_once_and_no_form(tess: Session) -> None:
    form = tess.form("ada", comment="x")
    tess.client.cookies.clear()
    token = tess.access.token
    assert tess.client.get(f"/question/Q1?token={token}").status_code == 403
    assert tess.client.get(f"/?token={token}&token={token}").status_code == 403
    assert tess.post(f"/decide?token={token}", form).status_code == 403
    assert entries(tess.folder) == []


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "localhost", ""])
def test_a_name_that_was_rebound_to_this_machine_is_refused(tess: Session, host: str) -> None:
    assert tess.client.get("/", headers={"Host": host}).status_code == 403
    assert tess.client.get(f"/?token={tess.access.token}", headers={"Host": host}).status_code == 403


def test_localhost_is_this_machine_too(tess: Session) -> None:
    client = TestClient(tess.client.app, base_url=f"http://localhost:{PORT}")
    assert client.get(f"/?token={tess.access.token}").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": f"https://127.0.0.1:{PORT}"},
        {"Origin": f"http://localhost:{PORT}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_a_form_of_another_site_does_nothing(tess: Session, headers: dict[str, str]) -> None:
    form = tess.form("ada", points="2", comment="x")
    for path in ("/decide", "/apply", "/undo", "/mark", "/names", "/preview"):
        assert tess.post(path, form, headers).status_code == 403
    assert entries(tess.folder) == []
    assert reviewed(tess.folder) == set()


def test_a_form_whose_browser_tells_only_the_site_is_taken(tess: Session) -> None:
    answer = tess.post("/decide", tess.form("ada", comment="x"), {"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    assert len(entries(tess.folder)) == 1


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/question/Q1", 200), ("/nothing", 404), ("/decide", 405)])
def test_every_answer_has_a_strict_policy_with_a_nonce_of_its_own(tess: Session, path: str, status: int) -> None:
    nonces = set()
    for _ in range(2):
        answer = tess.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == status
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        (nonce,) = set(re.findall(r"'nonce-([^']+)'", policy))
        assert len(re.findall(f'<(?:script|style) nonce="{re.escape(nonce)}">', answer.text)) == 2
        assert len(re.findall("<script|<style", answer.text)) == 2
        assert " style=" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        nonces.add(nonce)
    assert len(nonces) == 2


def test_a_refusal_has_the_headers_too(tess: Session) -> None:
    tess.client.cookies.clear()
    headers = tess.client.get("/").headers
    assert headers["x-frame-options"] == "DENY"
    assert "script-src 'nonce-" in headers["content-security-policy"]


def test_no_socket_is_opened_over_http(tess: Session) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), tess.client.websocket_connect("/"):
        pass


# What it shows.


def pages_of(session: Session, student: str) -> Iterator[str]:
    who = session.who(student)
    yield session.page("/")
    yield session.page("/question/Q1")
    yield session.page(f"/question/Q1/{who}")
    yield session.page(f"/student/{who}")
    yield session.post("/preview", session.form(student, comment="a comment")).text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(tmp_path: Path, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()  # no database takes half a character
    bad = score("Q1", {"halves_a_number": text}, source=f"{text}\n{text}" + "x" * 1_000_000)
    flags = (Flag(kind="k", text=text, question="Q1"), Flag(kind="k", text=text))
    one = result("ada", {"Q1": bad}, name=text, flags=flags, submission=text)
    save(tmp_path, one, result(text, {"Q1": bad}))
    session = Session(tmp_path, by=text, names=True)
    assert session.decide("ada", comment=text).status_code == 200
    assert mark(session, "ada", "flag", note=text).status_code == 200
    own = (HOME / "autograder/review/templates/keys.js").read_text(encoding="utf-8")
    for html in pages_of(session, "ada"):
        active = [one for one in Page(html).active if one.strip() not in own]
        assert [one for one in active if one not in ("form", "form action") and not one.startswith("a /")] == []
        assert "\x00" not in html
        assert "\u202e" not in html
        assert len(html) < 200_000


def test_an_answer_stands_beside_the_reference_with_its_tests_in_words(tess: Session) -> None:
    text = Page(tess.item("ada")).text
    for part in ("return x\n", "return x / 2", "halves a number", WRONG["halves_a_number"], "1 test passed", "1 of 2"):
        assert part in text


def test_without_a_reference_the_page_says_so(folder: Path) -> None:
    assert "There is no reference answer here." in Session(folder, reference={}).item("ada")


def test_names_are_hidden_until_asked_for(tess: Session) -> None:
    for html in pages_of(tess, "ada"):
        for one in CLASS:
            assert one.student.name not in html
            assert not re.search(rf"\b{one.student.id}\b", html)
    answer = tess.post("/names", {"show": "1", "back": f"/student/{tess.who('ada')}"})
    assert answer.url.path == f"/student/{tess.who('ada')}"
    assert all("Ada Example" in html for html in pages_of(tess, "ada") if "Answers by what they do" not in html)
    tess.post("/names", {"show": "", "back": "/"})
    assert "Ada Example" not in tess.page("/")


def test_flags_do_not_tell_names_either(tmp_path: Path) -> None:
    flag = Flag(kind="several_files", text="two notebooks: ada_7.ipynb and ADA_7 (1).ipynb by Ada Example")
    save(tmp_path, result("ada_7", name="Ada Example", flags=(flag,)))
    session = Session(tmp_path)
    assert "two notebooks: ….ipynb and … (1).ipynb by …" in Page(session.page(f"/student/{session.who('ada_7')}")).text


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", ""])
def test_names_lead_back_to_a_page_of_this_server(tess: Session, back: str) -> None:
    answer = tess.client.post(
        "/names", data={"show": "1", "back": back}, headers={"Origin": ORIGIN}, follow_redirects=False
    )
    assert answer.headers["location"] == "/"


def walk(session: Session, order: str) -> list[str]:
    """The students in the order in which `Next` leads through a question."""
    names = {session.who(one.student.id): one.student.id for one in CLASS}
    html = session.page(f"/question/Q1/next?order={order}")
    found = [field(html, "who")]
    while following := re.search(r'data-key="j" href="([^"]*)"', html):
        html = session.page(following[1])
        found.append(field(html, "who"))
    return [names[one] for one in found]


def test_random_order_is_stable_in_a_session_and_holds_every_answer(folder: Path) -> None:
    first = walk(Session(folder), "random")
    assert first == walk(Session(folder), "random")
    assert sorted(first) == ["ada", "bob", "cy", "dot", "fay"]
    assert len({tuple(walk(Session(folder, seed=str(seed)), "random")) for seed in range(8)}) > 2


def test_group_by_group_keeps_together_what_behaves_the_same(tess: Session) -> None:
    order = walk(tess, "group")
    assert set(order[:3]) == {"ada", "bob", "cy"}
    assert order[-1] == "dot"


def test_groups_are_listed_with_size_and_message(tess: Session) -> None:
    text = Page(tess.page("/question/Q1")).text
    assert "3 students: 1 test not passed (1 of 2 points, 0 of 3 reviewed)" in text
    assert WRONG["halves_a_number"] in text


@pytest.mark.parametrize(
    "path",
    ["/question/Q9", "/question/*", "/question/Q1/nobody", "/student/nobody", "/question/Q9/next", "/student/ada"],
)
def test_what_does_not_exist_is_told(tess: Session, path: str) -> None:
    assert tess.client.get(path).status_code == 404


def test_a_student_without_an_answer_has_a_page_of_their_own_but_no_item(tess: Session) -> None:
    assert tess.client.get(f"/question/Q1/{tess.who('eve')}").status_code == 404
    assert "Not attempted." in Page(tess.page(f"/student/{tess.who('eve')}")).text
    assert "not submitted" in Page(tess.page(f"/student/{tess.who('gus')}")).text


# Decisions.


def test_points_with_a_reason_are_in_the_history_and_then_in_the_files(tess: Session) -> None:
    answer = tess.decide("ada", points="1,5", comment="nearly\r\nright", reviewed="1")
    assert "Saved." in answer.text
    assert "1.5 of 2 points" in Page(answer.text).text
    assert entries(tess.folder) == [("ada", "Q1", 1.5, "nearly\nright", "tess")]
    assert reviewed(tess.folder) == {("ada", "Q1")}
    assert tess.publisher.flush() == ""
    assert "ada,ada/n.ipynb,graded,5.5,6.0,1.5," in (tess.folder / "grades.csv").read_text()
    assert '"comment": "nearly\\nright"' in (tess.folder / "results" / "ada.json").read_text()


def test_the_whole_submission_takes_a_comment_and_a_total(tess: Session) -> None:
    answer = tess.decide("ada", WHOLE, points="3", comment="agreed in the meeting")
    assert "3 of 6" in Page(answer.text).text
    assert entries(tess.folder) == [("ada", WHOLE, 3.0, "agreed in the meeting", "tess")]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"points": "1.5"}, "Give the reason"),
        ({"points": "many", "comment": "x"}, "is not a number"),
        ({"points": "nan", "comment": "x"}, "not negative"),
        ({"points": "-1", "comment": "x"}, "not negative"),
        ({"points": "3", "comment": "x"}, "tick the box"),
        ({}, "neither points nor a comment"),
        ({"comment": "x" * (MOST_COMMENT + 1)}, "longer than"),
    ],
    ids=["no reason", "no number", "nan", "negative", "too many", "nothing", "too long"],
)
@pytest.mark.parametrize("path", ["/decide", "/preview", "/apply"])
def test_a_decision_that_cannot_stand_is_told_and_the_draft_kept(
    tess: Session, path: str, fields: dict[str, str], said: str
) -> None:
    form = tess.form("ada", **fields)
    if path == "/apply":
        preview = tess.post("/preview", tess.form("ada", comment="x")).text
        form |= {"group": field(preview, "group"), "chosen": re.findall(r'name="chosen" value="([^"]*)"', preview)}
    answer = tess.post(path, form)
    assert answer.status_code == 400
    assert said in Page(answer.text).text
    assert fields.get("comment", "") in answer.text
    assert f'name="points" value="{fields.get("points", "")}"' in answer.text
    assert entries(tess.folder) == []


def test_more_than_the_maximum_needs_the_box(tess: Session) -> None:
    assert tess.decide("ada", points="3", comment="brilliant", bonus="1").status_code == 200
    assert entries(tess.folder) == [("ada", "Q1", 3.0, "brilliant", "tess")]


@pytest.mark.parametrize("changed", [{"who": "nobody"}, {"question": "Q9"}, {"question": ""}, {"who": ""}], ids=str)
def test_a_decision_about_nobody_does_nothing(tess: Session, changed: dict[str, str]) -> None:
    form = tess.form("ada", points="1", comment="x") | changed
    for path in ("/decide", "/preview", "/mark"):
        assert tess.post(path, form | {"act": "reviewed"}).status_code == 404
    assert tess.post("/apply", form | {"chosen": []}).status_code in (400, 404)
    assert entries(tess.folder) == []
    assert reviewed(tess.folder) == set()


def test_of_two_who_decide_at_once_the_second_sees_the_first(folder: Path) -> None:
    tess, tim = Session(folder, by="tess"), Session(folder, by="tim")
    late = tim.form("ada", points="0", comment="wrong")
    tess.decide("ada", points="2", comment="fine")
    answer = tim.post("/decide", late)
    assert answer.status_code == 409
    assert "2 points by tess: “fine”" in Page(answer.text).text
    assert "wrong</textarea>" in answer.text
    assert entries(folder) == [("ada", "Q1", 2.0, "fine", "tess")]
    again = late | {"seen": field(answer.text, "seen")}
    assert tim.post("/decide", again).status_code == 200
    assert [one[4] for one in entries(folder)] == ["tess", "tim"]


def test_an_undo_by_another_is_noticed_too(folder: Path) -> None:
    tess, tim = Session(folder, by="tess"), Session(folder, by="tim")
    tess.decide("ada", points="2", comment="fine")
    late = tim.form("ada", comment="also")
    tess.post("/undo", tess.form("ada", ids="1"))
    answer = tim.post("/decide", late)
    assert answer.status_code == 409
    assert "undone by tess" in Page(answer.text).text
    assert entries(folder) == []


def test_decisions_on_others_do_not_get_in_the_way(folder: Path) -> None:
    tess, tim = Session(folder, by="tess"), Session(folder, by="tim")
    form = tim.form("ada", comment="x")
    tess.decide("bob", comment="y")
    tess.decide("ada", "Q2", comment="y")
    assert tim.post("/decide", form).status_code == 200


@pytest.mark.parametrize("question", ["Q1", WHOLE])
def test_a_result_that_changed_meanwhile_is_looked_at_again(tess: Session, question: str) -> None:
    form = tess.form("ada", question, comment="x")
    save(tess.folder, replace(CLASS[0], sha256="another"))
    answer = tess.post("/decide", form)
    assert answer.status_code == 409
    assert "has changed" in answer.text
    assert entries(tess.folder) == []


def chosen(html: str) -> list[str]:
    """What a browser sends of the table of a preview as it was loaded."""
    return re.findall(r'name="chosen" value="([^"]*)" checked', html)


def test_a_group_is_decided_in_one_step_after_a_preview_and_undone_in_one(tess: Session) -> None:
    tess.decide("bob", points="0.5", comment="by hand before")
    form = tess.form("ada", points="2", comment="accepted", reviewed="1")
    preview = tess.post("/preview", form).text
    assert len(entries(tess.folder)) == 1
    assert "preview for 3 students" in preview
    assert "points by tess: by hand before" in preview
    assert [one.split(" ")[2] for one in chosen(preview)] == [
        who for who in re.findall(r'value="\S+ \S+ (\w+)"', preview) if who != tess.who("bob")
    ]
    fields = form | {"group": field(preview, "group"), "chosen": chosen(preview)}
    answer = tess.post("/apply", fields)
    assert "Saved for all chosen students." in answer.text
    assert sorted(entries(tess.folder)[1:]) == [(one, "Q1", 2.0, "accepted", "tess") for one in ("ada", "cy")]
    assert reviewed(tess.folder) == {("ada", "Q1"), ("cy", "Q1")}
    ids = re.search(r'value="([\d ]+)">Undo for all 2', answer.text)
    assert ids
    assert "Undone" in tess.post("/undo", fields | {"ids": ids[1], "who": ""}).text
    assert [one[0] for one in entries(tess.folder)] == ["bob"]


def test_a_group_is_decided_as_a_whole_or_not_at_all(folder: Path) -> None:
    tess, tim = Session(folder, by="tess"), Session(folder, by="tim")
    form = tim.form("ada", points="2", comment="accepted")
    preview = tim.post("/preview", form).text
    tess.decide("cy", comment="look at the units")
    fields = form | {"group": field(preview, "group"), "chosen": chosen(preview)}
    answer = tim.post("/apply", fields)
    assert answer.status_code == 409
    assert "a comment by tess: “look at the units”" in Page(answer.text).text
    assert [one[0] for one in entries(folder)] == ["cy"]
    assert tim.post("/apply", fields | {"chosen": chosen(answer.text)}).status_code == 200
    assert sorted(one[0] for one in entries(folder)) == ["ada", "bob", "cy", "cy"]


@pytest.mark.parametrize("changed", [{"questions": {"Q1": score("Q1")}}, {"sha256": "another"}], ids=["other", "same"])
def test_a_member_that_handed_in_again_stops_the_group(tess: Session, changed: dict[str, Any]) -> None:
    """Whether or not the new answer behaves like the others."""
    form = tess.form("ada", comment="accepted")
    preview = tess.post("/preview", form).text
    save(tess.folder, replace(CLASS[2], **changed))
    answer = tess.post("/apply", form | {"group": field(preview, "group"), "chosen": chosen(preview)})
    assert answer.status_code == 409
    assert (tess.who("cy") in answer.text) == ("sha256" in changed)
    assert entries(tess.folder) == []


@pytest.mark.parametrize("wrong", ["", "1.0", "a b c d", "0.0 x nobody"])
def test_a_damaged_choice_does_nothing(tess: Session, wrong: str) -> None:
    form = tess.form("ada", comment="accepted", chosen=[wrong], group="none")
    assert tess.post("/apply", form).status_code in (400, 409)
    assert entries(tess.folder) == []


def test_a_comment_is_reused_with_its_points_by_a_link(tess: Session) -> None:
    for student in ("ada", "bob"):
        tess.decide(student, points="1.5", comment='half "right"')
    tess.decide("dot", comment="well done")
    html = tess.item("cy")
    first, second = re.findall(r'data-key="\d" href="([^"#]*)', html)
    used = tess.page(first.replace("&amp;", "&"))
    assert 'name="points" value="1.5"' in used
    assert "half &#34;right&#34;</textarea>" in used
    assert 'name="points" value=""' in tess.page(second.replace("&amp;", "&"))


def test_undo_takes_back_one_decision_once(tess: Session) -> None:
    tess.decide("ada", points="2", comment="fine")
    tess.decide("ada", comment="see me")
    form = tess.form("ada", ids="1")
    assert "Undone" in tess.post("/undo", form).text
    assert "undone already" in tess.post("/undo", form).text
    assert entries(tess.folder) == [("ada", "Q1", None, "see me", "tess")]
    assert tess.publisher.flush() == ""
    assert "ada,ada/n.ipynb,graded,5.0," in (tess.folder / "grades.csv").read_text()


@pytest.mark.parametrize("ids", ["", "x", "1; drop table", "-1", "9" * 30])
def test_a_damaged_undo_does_nothing(tess: Session, ids: str) -> None:
    tess.decide("ada", comment="fine")
    assert tess.post("/undo", tess.form("ada", ids=ids)).status_code == 400
    assert len(entries(tess.folder)) == 1


def mark(session: Session, student: str, act: str, question: str = "Q1", **more: str) -> Any:
    fields = {"question": question, "who": session.who(student), "order": "group", "act": act}
    return session.post("/mark", fields | more)


def test_marking_leads_to_the_next_that_nobody_has_reviewed(folder: Path) -> None:
    tess, tim = Session(folder, by="tess"), Session(folder, by="tim")
    order = walk(tess, "group")
    mark(tim, order[1], "reviewed")
    answer = mark(tess, order[0], "reviewed")
    assert field(answer.text, "who") == tess.who(order[2])
    assert "2 of 5 reviewed" in answer.text
    for student in order[2:]:
        answer = mark(tess, student, "reviewed")
    assert "Everything here is reviewed." in answer.text
    assert "Reviewed by tim" in Page(tess.item(order[1])).text
    mark(tess, order[1], "unreviewed")
    assert "4 of 5 reviewed" in tess.item("ada")
    assert re.search(r"4 / 5", Page(tess.page("/")).text)


def test_a_new_submission_is_to_be_reviewed_again(tess: Session) -> None:
    mark(tess, "ada", "reviewed")
    assert "1 of 5 reviewed" in tess.item("ada")
    save(tess.folder, replace(CLASS[0], sha256="another"))
    assert "0 of 5 reviewed" in tess.item("ada")
    mark(tess, "ada", "reviewed")
    assert "1 of 5 reviewed" in tess.item("ada")


def test_a_whole_student_is_reviewed_at_once_without_what_was_not_attempted(tess: Session) -> None:
    answer = mark(tess, "eve", "reviewed", WHOLE)
    assert reviewed(tess.folder) == {("eve", "Q2"), ("eve", "Q3")}
    assert answer.url.path.startswith("/student/")
    assert answer.url.path != f"/student/{tess.who('eve')}"


def test_a_flag_for_a_colleague_is_on_the_first_page_until_it_is_resolved(folder: Path) -> None:
    tess, tim = Session(folder, by="tess"), Session(folder, by="tim", seed="other")
    mark(tess, "ada", "flag", note="is this allowed?")
    mark(tess, "bob", "flag", WHOLE)
    html = tim.page("/")
    assert "is this allowed?" in html
    assert f'href="/question/Q1/{tim.who("ada")}"' in html
    assert f'href="/student/{tim.who("bob")}"' in html
    assert "Flagged by tess" in Page(tim.item("ada")).text
    mark(tim, "ada", "unflag")
    assert "is this allowed?" not in tess.page("/")
    assert mark(tim, "ada", "dance").status_code == 400


# The gradebook and its files.


def removed(path: Path) -> None:
    for one in path.parent.glob(f"{FILE}*"):
        one.unlink()


def damaged(path: Path) -> None:
    removed(path)
    path.write_bytes(b"not a database" * 100)


@pytest.mark.parametrize("harm", [removed, damaged])
def test_a_gradebook_that_goes_away_is_one_clear_message(tess: Session, harm: Callable[[Path], None]) -> None:
    form = tess.form("ada", comment="x")
    path = tess.folder / FILE
    kept = path.read_bytes()
    harm(path)
    before = path.read_bytes() if path.exists() else None
    answers = [
        tess.client.get("/"),
        tess.client.get("/question/Q1"),
        tess.post("/decide", form),
        mark(tess, "ada", "flag"),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert "The gradebook cannot be used" in Page(answer.text).text
        assert "may not be saved" in answer.text
        assert "Traceback" not in answer.text
    assert (path.read_bytes() if path.exists() else None) == before
    path.write_bytes(kept)
    assert tess.post("/decide", form).status_code == 200


def test_a_gradebook_by_url_that_goes_away_is_not_made_anew(folder: Path) -> None:
    url = f"sqlite:///{folder / FILE}"
    session = Session(folder, url=url)
    assert "Q1" in session.page("/")
    removed(folder / FILE)
    assert session.client.get("/").status_code == 503
    assert not (folder / FILE).exists()


def test_decisions_do_not_wait_for_a_run_that_grades_but_their_files_do(tess: Session) -> None:
    with open_gradebook(tess.folder):
        assert tess.decide("ada", points="2", comment="fine").status_code == 200
        assert "another run is writing" in tess.publisher.flush()
    assert not (tess.folder / "grades.csv").exists()
    assert tess.publisher.flush() == ""
    assert "ada,ada/n.ipynb,graded,6.0," in (tess.folder / "grades.csv").read_text()


def test_the_page_does_not_hold_the_lock(tess: Session) -> None:
    tess.item("ada")
    with open_gradebook(tess.folder) as gradebook:
        assert len(list(gradebook.saved())) == len(CLASS)


def test_files_that_an_earlier_session_could_not_write_are_written_by_the_next(tess: Session) -> None:
    for student in ("ada", "bob", "cy"):
        tess.decide(student, comment="fine")
    assert tess.publisher.flush() == ""
    results = tess.folder / "results"
    for student, second in (("ada", 0), ("bob", 4_000_000_000)):
        (results / f"{student}.json").write_text("{}")
        os.utime(results / f"{student}.json", (second, second))
    (results / "cy.json").unlink()
    following = Publisher(tess.folder, "", small())
    with open_gradebook(tess.folder, writing=False) as gradebook:
        following.catch_up(gradebook)
    assert following.flush() == ""
    assert [(results / f"{one}.json").stat().st_size > 2 for one in ("ada", "bob", "cy")] == [True, False, True]


def test_files_are_not_written_for_a_gradebook_that_is_gone(tess: Session) -> None:
    tess.decide("ada", comment="fine")
    removed(tess.folder / FILE)
    assert "no results here" in tess.publisher.flush()
    assert not (tess.folder / FILE).exists()


# The verb.


def test_without_the_extra_the_verb_says_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "autograder.review.server", raising=False)
    assert main(["review", "--out", str(folder)]) == 2
    error = capsys.readouterr().err
    assert "homework-autograder[review]" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("port", ["-1", "99999"])
def test_a_port_that_cannot_be_used_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert main(["review", "--out", str(folder), "--port", port]) == 2
    assert "the port cannot be used" in capsys.readouterr().err


def test_a_folder_without_results_is_told_before_anything_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", "--out", str(tmp_path)]) == 2
    assert "no results here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_page_needs_no_torch() -> None:
    code = "import sys, autograder.review.app, autograder.commands.review; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=HOME, check=False).returncode == 0
