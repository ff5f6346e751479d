"""A Canvas on this machine with the endpoints that the upload uses, as Canvas documents them.

It pages with a `Link` header, refuses requests over its limit, and fails where a test wants it to.
"""

import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "1234~secretSECRETsecret"
PAGE = 10
SUBMISSIONS = re.compile(r"/api/v1/courses/7/assignments/42/submissions(?:/(?P<user>\d+))?")


@dataclass(slots=True, kw_only=True)
class FakeCanvas:
    """What Canvas holds: submissions by user id, and what it was asked.

    trouble: by the number of a PUT, from 1 on, what goes wrong at it: `busy` and `busy 403` refuse it, `fails` is an
    error of the server, `lost` does it and closes the connection, `refused` is an error of the request
    puts: the users and grades that were stored, in order
    """

    submissions: dict[int, dict[str, Any]]
    trouble: dict[int, str] = field(default_factory=dict)
    busy_reads: int = 0
    points_possible: float = 100.0
    asked: list[str] = field(default_factory=list)
    put_count: int = 0
    puts: list[tuple[int, str]] = field(default_factory=list)
    address: str = ""


def submission(user: int, *, score: float | None = None, sis: str | None = None, **more: Any) -> dict[str, Any]:
    person = {"id": user, "sortable_name": f"Name {user}", "sis_user_id": sis, "login_id": None}
    return {"id": user + 1000, "user_id": user, "assignment_id": 42, "score": score, "user": person, **more}


@contextmanager
def serving(canvas: FakeCanvas) -> Iterator[FakeCanvas]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            canvas.asked.append(f"GET {self.path}")
            if not self._allowed():
                return
            if canvas.busy_reads:
                canvas.busy_reads -= 1
                self._answer(403, "403 Forbidden (Rate Limit Exceeded)")
                return
            path, _, query = self.path.partition("?")
            found = SUBMISSIONS.fullmatch(path)
            if path == "/api/v1/courses/7":
                self._answer(200, {"id": 7, "name": "Deep Learning"})
            elif path == "/api/v1/courses/7/assignments/42":
                table = {"id": 42, "course_id": 7, "name": "Homework 6", "points_possible": canvas.points_possible}
                self._answer(200, table)
            elif found and found["user"]:
                self._answer(200, canvas.submissions[int(found["user"])])
            elif found:
                self._page(urllib.parse.parse_qs(query))
            else:
                self._answer(404, {"errors": [{"message": "The specified resource does not exist."}]})

        def _page(self, query: dict[str, list[str]]) -> None:
            page = int(query.get("page", ["1"])[0])
            everyone = list(canvas.submissions.values())
            start = (page - 1) * PAGE
            base = f"{canvas.address}/api/v1/courses/7/assignments/42/submissions?include[]=user&per_page={PAGE}"
            links = [f'<{base}&page={page}>; rel="current"', f'<{base}&page=1>; rel="first"']
            if start + PAGE < len(everyone):
                links.append(f'<{base}&page={page + 1}>; rel="next"')
            self._answer(200, everyone[start : start + PAGE], {"link": ",".join(links)})

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            canvas.asked.append(f"PUT {self.path}")
            if not self._allowed():
                return
            canvas.put_count += 1
            trouble = canvas.trouble.get(canvas.put_count, "")
            if trouble in ("busy", "busy 403", "fails", "refused"):
                code = {"busy": 429, "busy 403": 403, "fails": 502, "refused": 400}[trouble]
                self._answer(code, "403 Forbidden (Rate Limit Exceeded)" if "busy" in trouble else f"no {TOKEN}")
                return
            found = SUBMISSIONS.fullmatch(self.path)
            assert found
            user, grade = int(found["user"]), urllib.parse.parse_qs(body)["submission[posted_grade]"][0]
            canvas.puts.append((user, grade))
            canvas.submissions[user]["score"] = float(grade)
            if trouble == "lost":
                self.close_connection = True
                self.connection.close()
                return
            self._answer(200, canvas.submissions[user])

        def _allowed(self) -> bool:
            if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                return True
            self._answer(401, {"errors": [{"message": "Invalid access token."}]}, {"WWW-Authenticate": "Bearer"})
            return False

        def _answer(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(code)
            for name, value in {"X-Request-Cost": "0.1", "Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    canvas.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield canvas
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
