"""What changed for students between two versions, as a page of Markdown, question by question."""

import difflib
from collections.abc import Iterator, Mapping

from autograder.assignment import Assignment
from autograder.notebook import Cell, Role
from autograder.release.versions import Version
from autograder.wording import number_of

FENCE = "~~~~~~"
PARTS = {
    Role.PROMPT: "prompt",
    Role.ANSWER: "stub",
    Role.GIVEN: "given code",
    Role.DEMO: "demonstration",
    Role.CHECK: "check cell",
    Role.TEXT: "text",
}


def changes(assignment: Assignment, old: Version | None, new: Version) -> str:
    """Return the page, which contains only text that students can see. `old` is None for the first version."""
    title = f"# {assignment.title}: version {new.name}\n"
    bonus = {one.id for one in assignment.questions if one.bonus}
    if old is None:
        total = sum(points for question, points in new.points.items() if question not in bonus)
        return f"{title}\nThe first version: {number_of(len(new.points), 'question')}, {number_of(total, 'point')}.\n"
    renumbered = _renumbered(old, new)
    sections = []
    for question in new.points:
        then = renumbered.get(question)
        if then is None:
            lines = [f"- new question, {new.points[question]:g} {'bonus ' * (question in bonus)}points"]
        else:
            lines = list(_question(old, new, then, question))
        if lines:
            sections.append(f"## {question}\n\n" + "\n".join(lines) + "\n")
    gone = [question for question in old.points if question not in renumbered.values()]
    sections += [f"## {question} of {old.name}\n\n- this question was removed\n" for question in gone]
    for name in [*new.notebooks, *(name for name in old.notebooks if name not in new.notebooks)]:
        if lines := list(_cells(_apart(old, name), _apart(new, name))):
            sections.append(f"## {name}.ipynb, outside the questions\n\n" + "\n".join(lines) + "\n")
    if lines := list(_files(old.files, new.files)):
        sections.append("## Other files\n\n" + "\n".join(lines) + "\n")
    if not sections:
        return f"{title}\nNothing changed since version {old.name}.\n"
    intro = f"What changed since version {old.name}. A notebook made from that version can still be handed in.\n"
    return "\n".join([title, intro, *sections])


def _renumbered(old: Version, new: Version) -> dict[str, str]:
    """Return the former id of each question.

    A question stays the same if it defines the same name, a written one if it has the same id.
    """
    then = {define: question for question, defines in old.defines.items() for define in defines}
    found = {question: next((then[one] for one in new.defines[question] if one in then), "") for question in new.points}
    found |= {one: one for one in new.points if not new.defines[one] and one in old.points and not old.defines[one]}
    return {question: before for question, before in found.items() if before}


def _question(old: Version, new: Version, then: str, now: str) -> Iterator[str]:
    if then != now:
        yield f"- it was {then}"
    if old.points[then] != new.points[now]:
        yield f"- points: {old.points[then]:g}, now {new.points[now]:g}"
    if old.files.get(f"tests/{then}.py") != new.files.get(f"tests/{now}.py"):
        yield f'- `grader.check("{now}")` checks something else or has new messages'
    yield from _cells(_of_question(old, then), _of_question(new, now))


def _of_question(version: Version, question: str) -> dict[str, str]:
    """Return the text of a question by part."""
    return _by_part(cell for cells in version.notebooks.values() for cell in cells if cell.question == question)


def _apart(version: Version, name: str) -> dict[str, str]:
    """Return the text of a notebook that belongs to no question, by part."""
    return _by_part(cell for cell in version.notebooks.get(name, ()) if not cell.question)


def _by_part(cells: Iterator[Cell]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for cell in cells:
        texts.setdefault(PARTS[Role(cell.role)], []).append(cell.source)
    return {part: "\n\n".join(sources) for part, sources in texts.items()}


def _cells(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Yield the changed lines of each part as a diff."""
    for part in PARTS.values():
        before, after = old.get(part, ""), new.get(part, "")
        if before != after:
            lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
            kept = ["  …" if line.startswith("@@") else line for line in lines]
            yield "\n".join([f"- {part}:", "", f"{FENCE}diff", *kept[1:], FENCE])


def _files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Yield new, removed and changed files, except the checks, which are listed under their questions."""
    for path in sorted({*old, *new}):
        if path.startswith("tests/") or old.get(path) == new.get(path):
            continue
        what = "new" if path not in old else "removed" if path not in new else "changed: use the new one"
        yield f"- `{path}`: {what}"
