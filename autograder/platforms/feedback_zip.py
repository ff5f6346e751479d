"""Feedback for a whole class as the zip that Canvas or Moodle takes back.

Canvas knows a file's owner by the user id and the id of an attachment of their submission; the name begins as in the
download. It makes one comment with the file for each student, and a second upload makes a second one. Moodle knows the
owner by the participant id in a folder's name, and replaces the file of an earlier upload.
"""

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from autograder.platforms import canvas, moodle
from autograder.results import LmsIdentity, Result

FILE = "feedback.html"
WRITTEN = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that the same feedback makes the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackZip:
    """The zip, for how many submissions it holds feedback, and for which students it holds none, with the reason."""

    data: bytes
    files: int
    without: tuple[tuple[str, str], ...] = ()


def feedback_zip(system: str, results: Iterable[Result], pages: Mapping[str, bytes]) -> FeedbackZip:
    """Return the zip for this system, `canvas` or `moodle`.

    pages: the HTML of each student, by id; who has none is left out. A group's submission gets one page, that of the
    first member who has one, as the LMS shows it to all of them.
    """
    name_of: Callable[[LmsIdentity], str] = {canvas.SYSTEM: _canvas_name, moodle.SYSTEM: _moodle_name}[system]
    members: dict[str, bytes] = {}
    without: list[tuple[str, str]] = []
    for result in sorted(results, key=lambda result: result.student.id):
        student = result.student
        if student.id not in pages:
            continue
        name = name_of(student.lms) if student.lms and student.lms.system == system else ""
        if name:
            members.setdefault(name, pages[student.id])
        else:
            without.append((student.id, _why_not(system, result)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, page in sorted(members.items()):
            member = zipfile.ZipInfo(name, WRITTEN)
            member.external_attr = 0o644 << 16
            target.writestr(member, page, zipfile.ZIP_DEFLATED)
    return FeedbackZip(data=buffer.getvalue(), files=len(members), without=tuple(without))


def _canvas_name(lms: LmsIdentity) -> str:
    """Return a name that begins as in the download up to the attachment id; empty where no attachment is known.

    Any attachment of the submission will do; the newest is the one that an assignment's last attempt has.
    """
    numbers = [int(one) for one in lms.attachments if one.isascii() and one.isdigit()]
    return f"{lms.stem}_{max(numbers)}_{FILE}" if numbers and lms.stem else ""


def _moodle_name(lms: LmsIdentity) -> str:
    """Return a path whose folder is that of the submission. In the name, which nobody reads, `_` would end a field."""
    name = lms.stem.removesuffix(f"_{lms.user}").replace("_", " ").replace("/", " ").strip(" .~")
    return f"{name or 'Participant'}_{lms.user}_assignsubmission_file/{FILE}" if lms.user.isdigit() else ""


def _why_not(system: str, result: Result) -> str:
    lms = result.student.lms
    if lms is None or lms.system != system:
        return f"was not handed in over {system.capitalize()}"
    return f"{system.capitalize()} has no file of theirs to attach feedback to"
