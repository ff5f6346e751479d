"""Requests to a child and what its replies say: read by the grader's side, which believes none of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autograder.errors import printable
from autograder.program import Step
from autograder.results import Status
from autograder.sandbox import channel

PROBE = re.compile(rb'\["probe","(\w+)"\]')
STEP_KEYS = ("type", "message", "cell", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A failure in code outside the answers, as the child reports it: number of statements and first error."""

    statements: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Takes the place of an observation if the student's code produced none: error, time-out or crash.

    The message contains text of the student's.
    """

    status: Status
    message: str


def note_failure(step: Step, outcome: Any, errors: dict[str, str], stopped: list[Stopped]) -> None:
    """Add the failure of a step, as the child reports it, to the errors of answers or to those outside them."""
    error = error_text(outcome)
    table = outcome if isinstance(outcome, dict) else {}
    failed, own = table.get("failed"), table.get("own") is not False
    if not step.question or own:
        errors[step.label] = error
    if step.added or (step.question and not own):
        stopped.append(Stopped(statements=max(1, failed) if type(failed) is int else 1, error=error))


def probe_request(probe: str, inputs: Mapping[str, Any], seed: int) -> bytes:
    """Return a request to call a probe on these inputs, with its random numbers seeded."""
    return channel.encode({"probe": probe, "inputs": dict(inputs), "seed": seed})


def probe_of(request: bytes) -> str:
    """Return the name of the probe that a request asks for, empty if none."""
    found = PROBE.search(request[:200])
    return found[1].decode() if found else ""


def read_reply(reply: channel.Frame | Failure) -> Mapping[str, Any] | Failure:
    """Return what the probe saw according to the reply, which may be forged, or the failure instead."""
    if isinstance(reply, Failure):
        return reply
    try:
        value = channel.decode(*reply)
    except channel.ChannelError as error:
        return Failure(status=Status.CRASHED, message=f"the reply was malformed: {error}")
    if isinstance(value, dict) and set(value) == {"seen"} and isinstance(value["seen"], dict):
        return value["seen"]
    if isinstance(value, dict) and set(value) == {"error"}:
        return Failure(status=Status.ERROR, message=error_text(value["error"]))
    return Failure(status=Status.CRASHED, message="the reply was malformed")


def error_text(error: Any) -> str:
    """Return an error that a child described as one readable line, without malformed parts."""
    table = error if isinstance(error, dict) else {}
    kind, message, cell, text = (str(table.get(key, ""))[:300] for key in STEP_KEYS)
    line = table.get("line")
    place = f" (line {line} of {cell}: {text.strip()})" if cell and isinstance(line, int) and text else ""
    return printable(f"{kind or 'Error'}: {message}{place}")
