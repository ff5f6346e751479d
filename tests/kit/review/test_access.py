"""Who may talk to the review page."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.kit.review.session import ORIGIN, PORT, Session, entries, reviewed


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
