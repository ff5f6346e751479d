"""What a decision on the review page does to the gradebook."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.gradebook.overrides import WHOLE
from autograder.review.desk import MOST_COMMENT
from tests.classroom import score
from tests.html_text import Page
from tests.kit.review.session import CLASS, Session, entries, field, mark, reviewed, save, walk


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
        ({"points": "nan", "comment": "x"}, "is not a number"),
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
