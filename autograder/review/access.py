"""Who may talk to the page: one person, with one browser, on this machine.

The URL that is printed holds a token, which is exchanged at once for a cookie that no script reads and no other site
sends. All else is refused before anything is looked at: another Host (a name that was rebound to this address), a
form that another site posts, a request without the cookie.
"""

import secrets
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)


def secret() -> str:
    """Return a new secret that fits into a URL."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The secrets of one server. token: in the URL that is printed; cookie: what it is exchanged for"""

    port: int
    token: str = field(default_factory=secret)
    cookie: str = field(default_factory=secret)

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{HOSTS[0]}:{self.port}/?token={self.token}"

    @property
    def cookie_name(self) -> str:
        """Cookies do not know ports: a name of its own keeps two servers apart."""
        return f"review_{self.port}"

    def refusal(self, request: Request) -> str:
        """Say why a request is refused, empty for one that is not."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in {f"{host}:{self.port}" for host in HOSTS}:
            return "This server answers to 127.0.0.1 only."
        if request.method not in ("GET", "HEAD") and not self._same_origin(request, hosts[0]):
            return "This form was not sent by a page of this server."
        if self.opens(request) or _same(request.cookies.get(self.cookie_name, ""), self.cookie):
            return ""
        return "Open the address that `autograder review` printed: it holds the token of this session."

    def opens(self, request: Request) -> bool:
        """Whether a request brings the token."""
        given = request.query_params.getlist("token")
        return request.method == "GET" and request.url.path == "/" and len(given) == 1 and _same(given[0], self.token)

    def _same_origin(self, request: Request, host: str) -> bool:
        """Whether a browser says that a page of ours sends this; a browser says so with every form."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin is None and site is None:
            return False
        return origin in (None, f"http://{host}") and site in (None, "same-origin")


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), right.encode())


class Guard:
    """The outermost layer of the server: refuses, and puts the headers on whatever is answered."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce
        policy = POLICY.format(nonce=nonce)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = HEADERS | {"content-security-policy": policy}
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in extra.items())]
            await send(message)

        answer = self._answer(Request(scope))
        await (self.app if answer is None else answer)(scope, receive, send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        """What is answered here already: a refusal, or the cookie."""
        if refusal := self.access.refusal(request):
            return PlainTextResponse(f"{refusal}\n", status_code=403)
        if not self.access.opens(request):
            return None
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(self.access.cookie_name, self.access.cookie, httponly=True, samesite="strict", path="/")
        return response
