"""The review page as an application: addresses, forms, and what they do to the gradebook.

Every change is a form that is posted and answered by a redirect, so that the page works without script and can be
loaded again. Each request opens the gradebook for itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from autograder.errors import UsageError
from autograder.gradebook import overrides, reviews, rubric
from autograder.gradebook.overrides import WHOLE
from autograder.gradebook.reviews import Kind
from autograder.gradebook.store import Gradebook, Saved
from autograder.gradebook.views import current
from autograder.results import Result
from autograder.review import pages
from autograder.review.access import Access, Guard
from autograder.review.desk import MOST_NOTE, Desk, Gone, Refused, points_of
from autograder.review.pages import SAID, Form, View, Where
from autograder.review.work import GROUP, RANDOM, Item, Queue, alias, in_order, progress, read_queue, shown

CHANGED = "The result has changed since this page was opened: look at it again. Nothing was saved."


def build(desk: Desk, access: Access) -> ASGIApp:
    """Return the application for one session, guarded."""
    app = App(desk, access)
    routes = [
        Route("/", app.overview),
        Route("/question/{question}", app.groups),
        Route("/question/{question}/next", app.first),
        Route("/question/{question}/{alias}", app.item),
        Route("/student/{alias}", app.student),
        *(
            Route(f"/{name}", _posted(handler), methods=["POST"])
            for name, handler in {
                "decide": app.decide,
                "preview": app.preview,
                "apply": app.apply,
                "undo": app.undo,
                "mark": app.mark,
                "names": app.show_names,
            }.items()
        ),
    ]
    handlers = {Gone: app.gone, HTTPException: app.failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), access)


def _posted(handler: Callable[[Request, FormData], Response]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(handler, request, await request.form())

    return endpoint


class App:
    """The handlers of one session."""

    def __init__(self, desk: Desk, access: Access) -> None:
        self.desk = desk
        self.names_cookie = f"names_{access.port}"

    def overview(self, request: Request) -> Response:
        with self.desk.opened() as gradebook:
            results = list(current(gradebook))
            marks = reviews.marks(gradebook)
        questions, students = progress(results, marks, self.desk.assignment)
        flags = [one for one in marks if one.kind is Kind.FLAG]
        return HTMLResponse(
            pages.overview_html(self._view(request), results, questions, students, flags, _said(request))
        )

    def groups(self, request: Request) -> Response:
        with self.desk.opened() as gradebook:
            queue = self._queue(gradebook, request.path_params["question"])
        return HTMLResponse(pages.groups_html(self._view(request), queue, _said(request)))

    def first(self, request: Request) -> Response:
        """Lead to the first answer that nobody has reviewed, else to the first."""
        order = _order(request.query_params.get("order"))
        with self.desk.opened() as gradebook:
            queue = self._queue(gradebook, request.path_params["question"], order)
        item = queue.unreviewed() or next(iter(queue.items), None)
        return _redirect(Where(question=queue.question, alias=item.alias if item else "", order=order), "")

    def item(self, request: Request) -> Response:
        query, path = request.query_params, request.path_params
        where = Where(question=path["question"], alias=path["alias"], order=_order(query.get("order")))
        with self.desk.opened() as gradebook:
            return self._item(request, gradebook, where, None, said=_said(request))

    def _item(
        self,
        request: Request,
        gradebook: Gradebook,
        where: Where,
        form: Form | None,
        *,
        problem: str = "",
        said: str = "",
        status: int = 200,
    ) -> Response:
        queue, place = self._place(gradebook, where)
        whole = self._saved(gradebook, where.alias, tests=False).result
        form = form or self._reused(queue, request.query_params.get("use", ""))
        html = pages.item_html(self._view(request), queue, place, whole, where, form, problem=problem, said=said)
        return HTMLResponse(html, status_code=status)

    def student(self, request: Request) -> Response:
        where = Where(question=WHOLE, alias=request.path_params["alias"])
        with self.desk.opened() as gradebook:
            return self._student(request, gradebook, where, Form(), said=_said(request))

    def _student(
        self,
        request: Request,
        gradebook: Gradebook,
        where: Where,
        form: Form,
        *,
        problem: str = "",
        said: str = "",
        status: int = 200,
    ) -> Response:
        saved = self._saved(gradebook, where.alias)
        student = saved.result.student.id
        entries = overrides.history(gradebook, student)
        marks = reviews.marks(gradebook, student=student)
        results = [one.result for one in gradebook.saved(tests=False)]
        done = progress([saved.result], marks, self.desk.assignment)[1][student]
        html = pages.student_html(
            self._view(request),
            overrides.apply(saved.result, entries),
            self._neighbours(gradebook, results, student),
            marks,
            done,
            entries,
            form,
            problem=problem,
            said=said,
        )
        return HTMLResponse(html, status_code=status)

    def _neighbours(self, gradebook: Gradebook, results: Sequence[Result], student: str) -> tuple[str, str, str]:
        """Aliases of the student before, the one after, and the next with something to review; empty for none."""
        seed = self.desk.seed
        order = in_order(seed, [result.student.id for result in results])
        place = order.index(student)
        left = progress(results, reviews.marks(gradebook), self.desk.assignment)[1]
        around = [*order[place + 1 :], *order[:place]]
        unreviewed = next((one for one in around if left[one].reviewed < left[one].count), "")
        before = order[place - 1] if place else ""
        after = order[place + 1] if place + 1 < len(order) else ""
        return tuple(alias(seed, one) if one else "" for one in (before, after, unreviewed))  # type: ignore[return-value]

    def decide(self, request: Request, fields: FormData) -> Response:
        where, form = _where(fields), _form(fields)
        with self.desk.opened() as gradebook:
            try:
                if where.question == WHOLE:
                    saved = self._saved(gradebook, where.alias)
                else:
                    saved = self._at(gradebook, where).saved
                if form.shown != shown(saved.result):
                    raise Refused(CHANGED, 409)
                self.desk.record(gradebook, [(saved, form.seen)], where.question, form)
            except Refused as error:
                page = self._student if where.question == WHOLE else self._item
                return page(request, gradebook, where, form, problem=error.problem, status=error.status)
        return _redirect(where, "saved")

    def preview(self, request: Request, fields: FormData) -> Response:
        where, form = _where(fields), _form(fields)
        with self.desk.opened() as gradebook:
            try:
                item = self._at(gradebook, where)
                self.desk.decision(item.saved, where.question, form)
                whole = self.desk.with_rubric(where.question, form)
            except Refused as error:
                return self._item(request, gradebook, where, form, problem=error.problem, status=error.status)
            return self._preview(request, gradebook, where, whole, item.group)

    def _preview(
        self,
        request: Request,
        gradebook: Gradebook,
        where: Where,
        form: Form,
        key: str,
        chosen: Sequence[str] | None = None,
        problem: Refused | None = None,
    ) -> Response:
        view = self._view(request)
        group = self._queue(gradebook, where.question).group(key)
        rows = pages.preview_rows(view, group.items if group else (), _given(form), chosen)
        html = pages.preview_html(view, where, key, rows, form, problem.problem if problem else "")
        return HTMLResponse(html, status_code=problem.status if problem else 200)

    def apply(self, request: Request, fields: FormData) -> Response:
        """Record one decision for the chosen members of a group."""
        where, form, key = _where(fields), _form(fields), _text(fields, "group")
        ticked = [str(one).split(" ") for one in fields.getlist("chosen")]
        if any(len(one) != 3 for one in ticked):
            raise HTTPException(400, "The form is damaged: go back and open the preview again.")
        with self.desk.opened() as gradebook:
            group = self._queue(gradebook, where.question).group(key)
            members = {item.alias: item for item in group.items} if group else {}
            try:
                if any(who not in members or members[who].shown != digest for _, digest, who in ticked):
                    raise Refused(CHANGED, 409)
                chosen = [(members[who].saved, stamp) for stamp, _, who in ticked]
                self.desk.record(gradebook, chosen, where.question, form, "Apply")
            except Refused as error:
                aliases = [who for _, _, who in ticked]
                return self._preview(request, gradebook, where, form, key, aliases, error)
        return _redirect(Where(question=where.question, alias=""), "applied")

    def undo(self, request: Request, fields: FormData) -> Response:
        where, ids = _where(fields), _text(fields, "ids").split()
        if not ids or not all(one.isdecimal() and len(one) < 19 for one in ids):
            raise HTTPException(400, "The form is damaged: go back and load the page again.")
        with self.desk.opened() as gradebook:
            count = self.desk.undo(gradebook, [int(one) for one in ids])
        return _redirect(where, "undone" if count else "nothing")

    def mark(self, request: Request, fields: FormData) -> Response:
        where, act = _where(fields), _text(fields, "act")
        with self.desk.opened() as gradebook:
            saved = self._saved(gradebook, where.alias)
            student = saved.result.student.id
            if where.question != WHOLE:
                self._place(gradebook, where)
            if act == "reviewed":
                self.desk.mark(gradebook, [saved], where.question)
                return self._go_on(gradebook, where)
            if act == "flag":
                note = _text(fields, "note")[:MOST_NOTE]
                chosen = [(student, saved.result.sha256)]
                reviews.mark(gradebook, chosen, where.question, Kind.FLAG, note, self.desk.by)
                return _redirect(where, "flagged")
            if act == "unreviewed":
                reviews.take_back(gradebook, student, where.question, Kind.REVIEWED, self.desk.by)
                return _redirect(where, "unmarked")
            if act == "unflag":
                reviews.take_back(gradebook, student, where.question, Kind.FLAG, self.desk.by)
                return _redirect(where, "resolved")
        raise HTTPException(400, "The form is damaged: go back and load the page again.")

    def _go_on(self, gradebook: Gradebook, where: Where) -> Response:
        """Lead to what is to be reviewed next."""
        if where.question == WHOLE:
            results = [one.result for one in gradebook.saved(tests=False)]
            student = self._saved(gradebook, where.alias, tests=False).result.student.id
            following = self._neighbours(gradebook, results, student)[2]
        else:
            queue, place = self._place(gradebook, where)
            item = queue.unreviewed(place)
            following = item.alias if item else ""
        return _redirect(replace(where, alias=following or where.alias), "marked" if following else "all")

    def show_names(self, request: Request, fields: FormData) -> Response:
        back = _text(fields, "back")
        local = back.startswith("/") and not back.startswith(("//", "/\\"))
        response = RedirectResponse(back if local else "/", status_code=303)
        response.set_cookie(self.names_cookie, _text(fields, "show") or "0", httponly=True, samesite="strict")
        return response

    def gone(self, request: Request, error: Exception) -> Response:
        """Tell that there is no gradebook to read or write."""
        text = f"{error}. A change that you just sent may not be saved: check its history when the results are back."
        html = pages.message_html(self._view(request), "The gradebook cannot be used", text)
        return HTMLResponse(html, status_code=503)

    def failed(self, request: Request, error: Exception) -> Response:
        """Tell what is wrong with a request."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = error.detail if isinstance(error, HTTPException) else ""
        return HTMLResponse(pages.message_html(self._view(request), "That did not work", text), status_code=status)

    def _view(self, request: Request) -> View:
        chosen = request.cookies.get(self.names_cookie)
        query = f"?{request.url.query}" if request.url.query else ""
        return View(
            nonce=request.state.nonce,
            path=f"{request.url.path}{query}" if request.method == "GET" else "/",
            by=self.desk.by,
            names=self.desk.names if chosen is None else chosen == "1",
            seed=self.desk.seed,
            assignment=self.desk.assignment,
            reference=self.desk.reference,
        )

    def _queue(self, gradebook: Gradebook, question: str, order: str = RANDOM) -> Queue:
        if question not in {one.id for one in self.desk.assignment.questions}:
            raise HTTPException(404, "There is no such question.")
        return read_queue(gradebook, question, self.desk.seed, order)

    def _place(self, gradebook: Gradebook, where: Where) -> tuple[Queue, int]:
        """The queue of a question, and where in it a student stands."""
        queue = self._queue(gradebook, where.question, where.order)
        place = queue.place(where.alias)
        if place is None:
            raise HTTPException(404, "There is no such student, or no answer of theirs to this question.")
        return queue, place

    def _reused(self, queue: Queue, wanted: str) -> Form:
        """The form with what an earlier override said, empty where there is none."""
        lines = self.desk.assignment.question(queue.question).rubric
        for entry in queue.history:
            if str(entry.id) == wanted:
                given = entry.override.points
                marks, rest = rubric.split(lines, entry.override.comment)
                ticked = tuple(number for number, line in enumerate(lines) if marks.get(line.text))
                by_lines = bool(marks) and rubric.total(lines, ticked) == given and bool(ticked)
                points = "" if given is None or by_lines else f"{given:g}"
                return Form(points=points, comment=rest, ticked=ticked)
        return Form()

    def _at(self, gradebook: Gradebook, where: Where) -> Item:
        queue, place = self._place(gradebook, where)
        return queue.items[place]

    def _saved(self, gradebook: Gradebook, who: str, *, tests: bool = True) -> Saved:
        for student in gradebook.students():
            if alias(self.desk.seed, student.id) == who:
                for saved in gradebook.saved(student=student.id, tests=tests):
                    return saved
        raise HTTPException(404, "There is no such student.")


def _order(text: object) -> str:
    return GROUP if text == GROUP else RANDOM


def _said(request: Request) -> str:
    return SAID.get(request.query_params.get("said", ""), "")


def _text(fields: FormData, key: str) -> str:
    """A field as text, with the line ends of Python."""
    value = fields.get(key, "")
    return value.replace("\r\n", "\n").replace("\r", "\n").strip() if isinstance(value, str) else ""


def _where(fields: FormData) -> Where:
    return Where(question=_text(fields, "question"), alias=_text(fields, "who"), order=_order(fields.get("order")))


def _form(fields: FormData) -> Form:
    return Form(
        points=_text(fields, "points"),
        comment=_text(fields, "comment"),
        bonus=_text(fields, "bonus") == "1",
        reviewed=_text(fields, "reviewed") == "1",
        seen=_text(fields, "seen"),
        shown=_text(fields, "shown"),
        ticked=_ticked(fields),
    )


def _ticked(fields: FormData) -> tuple[int, ...] | None:
    """The lines of the rubric that a form chooses, None for a form without one."""
    chosen = [str(one) for one in fields.getlist("line")]
    if "rubric" not in fields:
        return None
    return tuple(int(one) for one in chosen if one.isdecimal() and len(one) < 4)


def _given(form: Form) -> float | None:
    """The points of a form, None where there are none or they are no number."""
    try:
        return points_of(form)
    except UsageError:
        return None


def _redirect(where: Where, said: str) -> Response:
    order = where.order if where.alias and where.question != WHOLE else ""
    query = urlencode({key: value for key, value in {"order": order, "said": said}.items() if value})
    return RedirectResponse(f"{where.address}?{query}" if query else where.address, status_code=303)
