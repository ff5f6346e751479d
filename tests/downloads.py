"""A made-up class of thirty, and its submissions in the form of every platform."""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NOTEBOOKS = ("batchnorm", "residual_stream")
Files = dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Someone of the class; `number` gives every id that a platform has for them."""

    number: int
    first: str
    last: str
    late: bool = False
    absent: bool = False
    resubmitted: bool = False

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}".strip()

    @property
    def id(self) -> str:
        return f"s{self.number:03}"

    @property
    def user(self) -> str:
        return str(70_000 + self.number)

    @property
    def email(self) -> str:
        return f"{self.id}@example.edu"


SPECIAL = [
    ("Ada", "Example"),
    ("Ada", "Example"),
    ("Zoë", "Müller"),
    ("प्रिया", "शर्मा"),
    ("प्रीया", "शर्मा"),
    ("نور", "الهدى"),
    ("דנה", "כהן"),
    ("小明", "王"),
    ("Seán", "O'Brien"),
    ("Anna-Lena", "von der Höhe"),
    ("N" * 200, "Long"),
    ("Cher", ""),
    ("Mary_Jane", "Under_Score"),
    ("Bob", "Table, Jr."),
]
CLASS = tuple(
    Member(
        number=number,
        first=SPECIAL[number - 1][0] if number <= len(SPECIAL) else f"Given{number}",
        last=SPECIAL[number - 1][1] if number <= len(SPECIAL) else f"Family{number}",
        late=number % 7 == 0,
        absent=number in (16, 30),
        resubmitted=number % 5 == 0,
    )
    for number in range(1, 31)
)
PRESENT = tuple(one for one in CLASS if not one.absent)


def notebook(text: str) -> bytes:
    return json.dumps({"cells": [{"cell_type": "code", "source": text}], "nbformat": 4}).encode()


def handed_in(member: Member) -> Files:
    """The two notebooks, and older attempts of the first of who resubmitted; the name of the newest ends with -10."""
    files = {f"{name}.ipynb": notebook(f"{name} {member.id}") for name in NOTEBOOKS}
    if member.resubmitted:
        files |= {f"batchnorm-{number}.ipynb": notebook(f"batchnorm {member.id} {number}") for number in (9, 10)}
    return files


def canvas_name(member: Member) -> str:
    return re.sub(r"\W", "", member.last + member.first).lower()


def canvas(anonymous: bool = False) -> Files:
    files: Files = {}
    attachment = 9_990
    for member in PRESENT:
        for name, data in handed_in(member).items():
            attachment += 1
            if anonymous:
                who = f"{'LATE_' if member.late else ''}anon_{anonymous_id(member)}"
            else:
                who = f"{canvas_name(member)}_{'LATE_' if member.late else ''}{member.user}"
            files[f"{who}_{attachment}_{name}"] = data
    return files


def anonymous_id(member: Member) -> str:
    return f"J{member.number:02}kU"


def moodle_name(member: Member) -> str:
    return re.sub(r"[&<>\"'\\|:/]", "", member.name).replace("_", " ")


def moodle(flat: bool = False, blind: bool = False, old: bool = False) -> Files:
    files: Files = {}
    for member in PRESENT:
        who = f"{'Participant' if blind else moodle_name(member)}_{member.user}_assignsubmission"
        between = "_" if flat else "_/" if old else "/"
        files |= {f"{who}_file{between}{name}": data for name, data in handed_in(member).items()}
        files[f"{who}_onlinetext{between}onlinetext.html"] = b"<p>Done</p>"
    return files


def gradescope(colon: str = ":", keys: tuple[str, ...] = ("name", "sid", "email")) -> Files:
    """The export; the members 21 and 22 handed in together."""
    lines = ["---"]
    files: Files = {}
    for member in PRESENT:
        if member.number == 22:
            continue
        lines += [f"submission_{member.number}:", f"  {colon}submitters:"]
        for one in (CLASS[20], CLASS[21]) if member.number == 21 else (member,):
            values = {"name": one.name, "sid": one.id, "email": one.email}
            parts = [f"{colon}{key}: {json.dumps(values[key], ensure_ascii=False)}" for key in keys]
            lines += [f"  - {parts[0]}", *(f"    {part}" for part in parts[1:])] if parts else ["  - {}"]
        lines += [f"  {colon}created_at: 2026-11-{member.number % 20 + 1:02} 23:59:00.123456789 Z"]
        lines += [f"  {colon}results:", f"    {colon}output: !ruby/object:Evil", "      a: [unclosed"]
        lines += [f"  {colon}history:", f"  - {colon}id: 1", f"    {colon}submitters: []"]
        files |= {f"assignment_1_export/submission_{member.number}/{k}": v for k, v in handed_in(member).items()}
    files["assignment_1_export/submission_metadata.yml"] = "\n".join(lines).encode()
    return files


def nbgrader() -> Files:
    files: Files = {}
    for member in PRESENT:
        files |= {f"submitted/{member.id}/hw6/{name}": data for name, data in handed_in(member).items()}
        files[f"submitted/{member.id}/hw6/timestamp.txt"] = b"2026-11-20 23:59:00.500000 UTC"
    return files


def inbound() -> Files:
    files: Files = {}
    for member in PRESENT:
        for day in (9, 10) if member.resubmitted else (10,):
            place = f"{member.id}+hw6+2026-11-{day:02} 12:00:00.000000 UTC+abc"
            files |= {f"inbound/{place}/{name}.ipynb": notebook(f"{name} {day}") for name in NOTEBOOKS}
            files[f"inbound/{place}/timestamp.txt"] = f"2026-11-{day:02} 12:00:00.000000 UTC".encode()
    return files


def folders() -> Files:
    return {f"{member.id}/{name}": data for member in PRESENT for name, data in handed_in(member).items()}


def flat() -> Files:
    return {f"{member.id}_{name}": data for member in PRESENT for name, data in handed_in(member).items()}


def own_form() -> Files:
    return {
        f"hw6/{'x' if member.late else 'y'}--{member.id}--{place}--{name}": data
        for member in PRESENT
        for place, (name, data) in enumerate(handed_in(member).items())
    }


def packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    path.write_bytes(packed(files))
    return path


ROSTERS = {
    "plain": lambda: ["id,name,email,LMS id", *(f'{m.id},"{m.name}",{m.email},{m.user}' for m in CLASS)],
    "semicolons": lambda: ["E-Mail;Canvas ID;Name;ID", *(f'{m.email};{m.user};"{m.name}";{m.id}' for m in CLASS)],
    "canvas gradebook": lambda: [
        "Student,ID,SIS User ID,SIS Login ID,Section,Homework 6 (123)",
        "    Points Possible,,,,,100",
        *(f'"{m.last}, {m.first}",{m.user},{m.id},{m.email},S1,' for m in CLASS),
        '"Student, Test",99,,,S1,',
    ],
    "moodle worksheet": lambda: [
        "Identifier,Full name,ID number,Email address,Status,Grade,Maximum grade,Last modified (submission)",
        *(
            f'Participant {m.user},"{m.name}",{m.id},{m.email},Submitted,,100,"Friday, 20 November 2026, 11:59 PM"'
            for m in CLASS
        ),
    ],
    "gradescope roster": lambda: [
        "First Name,Last Name,SID,Email,Sections",
        *(f'"{m.first}","{m.last}",{m.id},{m.email},S1' for m in CLASS),
    ],
}


def roster(path: Path, form: str = "plain") -> Path:
    path.write_text("\ufeff" + "\r\n".join(ROSTERS[form]()) + "\r\n", encoding="utf-8")
    return path
