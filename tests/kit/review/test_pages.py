"""What the review page shows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.results import Flag
from tests import HOME
from tests.classroom import HOSTILE, result, score
from tests.html_text import Page
from tests.kit.review.session import CLASS, ORIGIN, WRONG, Session, mark, save, walk


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
