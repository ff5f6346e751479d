"""Links and images: broken ones are told, web addresses are asked on request."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath

import pytest

from autograder.authoring.verify.links import broken_links, unreachable


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[a](src/utils.py) [b](src) ![c](data/pic%20one.png 'title') <https://pytorch.org/docs>", ""),
        ("[a](#The-second-part) [b](other.ipynb#Top) <a id='here'></a> [c](#here)", ""),
        ("[a](https://arxiv.org/abs/1502.03167) <img src='data/pic one.png'> [m](mailto:ta@example.org)", ""),
        ("`[a](none.py)` $f[x](y)$ and\n```\n[b](none.py)\n```", ""),
        ("[a](none.py)", "'none.py' points to no file of the release"),
        ("<img src='none.png'>", "'none.png' points to no file of the release"),
        ("[a](../solutions/x.py)", "'../solutions/x.py' points to no file of the release"),
        ("[a](#no-such-part)", "'#no-such-part' points to no heading of one.ipynb"),
        ("[a](other.ipynb#Bottom)", "'other.ipynb#Bottom' points to no heading of other.ipynb"),
        ("[a](https://)", "'https://' has no valid host"),
        ("[a](https:///docs)", "'https:///docs' has no valid host"),
        ("[a](https://docs.invalid/x)", "'https://docs.invalid/x' has a host that cannot exist (.invalid)"),
        ("[a](https://course.local)", "'https://course.local' has a host that cannot exist (.local)"),
        ("[a](http://localhost:8888/tree)", "'http://localhost:8888/tree' has no valid host"),
        ("[a](https://-docs.org)", "'https://-docs.org' has no valid host"),
        ("[a](/root/x.py)", "'/root/x.py' is neither a web address nor a path in the release"),
        ("[a](file:///x.py)", "'file:///x.py' is neither a web address nor a path in the release"),
        ("[a]()", "'' is empty"),
        ("![a](attachment:x.png)", "'attachment:x.png' names a missing attachment"),
    ],
)
def test_links(text: str, wrong: str) -> None:
    one = [{"cell_type": "markdown", "id": "c1", "source": ["# The first part\n", "## The second part\n", text]}]
    other = [{"cell_type": "markdown", "id": "c2", "source": "# Top"}]
    present = ("src/utils.py", "data/pic one.png", "one.ipynb", "other.ipynb")
    found = broken_links({"one.ipynb": one, "other.ipynb": other}, [PurePosixPath(path) for path in present])
    assert found == ([f"one.ipynb, cell c1: the link to {wrong}"] if wrong else [])


@pytest.fixture
def site() -> Iterator[str]:
    """A web server that has one page, has lost another, and is too busy for a third."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/here": 200, "/busy": 503}.get(self.path, 404))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_web_addresses_are_asked_on_request(site: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        text = f"[a]({site}/here#part) [b]({site}/gone) <{site}/busy> [c]({nobody}) [d](src)"
        broken, unclear = unreachable({"one.ipynb": [{"cell_type": "markdown", "id": "c1", "source": text}]})
    assert broken == [f"one.ipynb, cell c1: the link to '{site}/gone' answers 404 Not Found"]
    assert [one.partition("the link to ")[2].split(" (")[0] for one in unclear] == [
        f"'{site}/busy' answers 503 Service Unavailable",
        f"'{nobody}' cannot be asked",
    ]
