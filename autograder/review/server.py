"""Runs the page on 127.0.0.1 until it is interrupted."""

import contextlib
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from autograder.errors import UsageError
from autograder.review.access import HOSTS, Access
from autograder.review.publish import Publisher


def serve(build: Callable[[Access], ASGIApp], publisher: Publisher, port: int = 0) -> str:
    """Serve the page, and print its address once it can be opened; why files are out of date at the end, else empty.

    port: 0 for a free one. Raises UsageError for a port that cannot be used.
    """
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as listening:
        try:
            listening.bind((HOSTS[0], port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"the port cannot be used ({error})", f"--port {port}", "leave --port away") from error
        listening.listen()
        access = Access(port=listening.getsockname()[1])
        config = uvicorn.Config(
            build(access), log_level="warning", access_log=False, server_header=False, proxy_headers=False, ws="none"
        )
        worker = threading.Thread(target=publisher.work, daemon=True)
        worker.start()
        print(f"review: {access.url} (Ctrl+C ends it)")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
        publisher.stop()
        worker.join()
        return publisher.flush()
