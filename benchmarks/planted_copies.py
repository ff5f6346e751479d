"""How many planted copies the similarity report finds: `python -m benchmarks.planted_copies`.

A class of independent students gets the answers of the lecture's corpus, no answer to two of them. Copies are planted
among them, each disguised in one way. A copy is found when its pair is among the first 2 % of all pairs.
"""

import ast
import random
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autograder.assignment import Assignment
from autograder.assignment_file import load_assignment
from autograder.authoring.corpus import answer_cell, read_answers
from autograder.release.reference import reference_cells
from autograder.release.released import ReleasedNotebook, load_released
from autograder.reports.fingerprints import FIXED, tokens
from autograder.reports.similarity import similarity
from autograder.results import GradedAnswer, QuestionScore, Result, Status, Student, SubmissionStatus

Bodies = Mapping[str, str]
"""An answer's own lines, by question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """pairs: of the class; expected: planted ones; found: those of them in the first 2 %, by disguise."""

    students: int
    pairs: int
    expected: Mapping[str, int]
    found: Mapping[str, int]

    @property
    def recall(self) -> float:
        return sum(self.found.values()) / sum(self.expected.values())


def measure(independent: int, copies: int, seed: int) -> Measured:
    """Plant this many copies of each disguise among this many independent students."""
    assignment = load_assignment("lecture06")
    released = load_released(assignment)
    known = [cell.source for notebook in released.values() for cell in notebook.cells if cell.kind == "code"]
    known += reference_cells(assignment, released).values()
    draw = random.Random(seed)
    people = _independent(assignment, independent, draw)
    words = {token.written for text in known for token in tokens(text)}
    planted: dict[frozenset[str], str] = {}
    for disguise in DISGUISES:
        for number in range(copies):
            sources = draw.sample(range(independent), 2 if disguise == "merged from two" else 1)
            copier = f"{disguise} {number}"
            people[copier] = {
                key: DISGUISES[disguise](people[f"s{draw.choice(sources)}"].get(key, ""), words, draw)
                for key in dict.fromkeys(key for source in sources for key in people[f"s{source}"])
            }
            planted |= {frozenset({copier, f"s{source}"}): disguise for source in sources}
    results = [_result(student, bodies, assignment, released) for student, bodies in people.items()]
    compared = similarity(results, assignment, known)
    shown = {frozenset({pair.left, pair.right}) for pair in compared.pairs}
    return Measured(
        students=len(people),
        pairs=compared.compared,
        expected={kind: sum(one == kind for one in planted.values()) for kind in DISGUISES},
        found={kind: sum(one == kind and pair in shown for pair, one in planted.items()) for kind in DISGUISES},
    )


def _independent(assignment: Assignment, count: int, draw: random.Random) -> dict[str, dict[str, str]]:
    """Students with answers of the corpus; where it has fewer than there are students, some have none."""
    people: dict[str, dict[str, str]] = {f"s{number}": {} for number in range(count)}
    for question in assignment.questions:
        answers = list(dict.fromkeys(one.body for one in read_answers(assignment.corpus_dir / f"{question.id}.txt")))
        draw.shuffle(answers)
        owners = draw.sample(range(count), min(count, len(answers)))
        for owner, body in zip(owners, answers, strict=False):
            people[f"s{owner}"][question.id] = body
    return people


def _result(student: str, bodies: Bodies, assignment: Assignment, released: Mapping[str, ReleasedNotebook]) -> Result:
    scores = {
        key: QuestionScore(
            computed=0.0,
            max_points=1.0,
            status=Status.PASSED,
            dependencies="own",
            tests=(),
            answer=GradedAnswer(file="", source=answer_cell(released[assignment.question(key).notebook], key, body)),
        )
        for key, body in bodies.items()
        if body
    }
    return Result(
        student=Student(id=student),
        submission=student,
        sha256=student,
        assignment=assignment.name,
        version=assignment.version,
        status=SubmissionStatus.GRADED,
        max_points=assignment.max_points,
        questions=scores,
    )


def renamed(body: str, words: set[str], draw: random.Random) -> str:
    """Give every name that the student chose another one."""
    names: dict[str, str] = {}
    for token in tokens(body):
        if token.kind == "name" and token.written not in FIXED and token.written not in words:
            names.setdefault(token.written, f"{draw.choice('abcdefgh')}{len(names)}_{draw.randint(10, 99)}")
    return re.sub(r"[^\W\d]\w*", lambda found: names.get(found[0], found[0]), body)


def commented(body: str, words: set[str], draw: random.Random) -> str:
    """Replace the comments, and write some where there were none."""
    lines = []
    for line in body.split("\n"):
        bare = re.sub(r"\s+#[^\"']*$", "", line)
        if bare.strip() and draw.random() < 0.5:
            lines.append(bare[: len(bare) - len(bare.lstrip())] + f"# step {draw.randint(1, 99)}: now this")
        lines.append(bare)
    return "\n".join(lines)


def reordered(body: str, words: set[str], draw: random.Random) -> str:
    """Swap neighbouring statements that do not need each other, and write the code anew."""
    try:
        tree = ast.parse(body)
    except SyntaxError:
        return body
    for node in ast.walk(tree):
        block = getattr(node, "body", None)
        if isinstance(block, list):
            for place in range(len(block) - 1):
                if _independent_statements(block[place], block[place + 1]):
                    block[place], block[place + 1] = block[place + 1], block[place]
    return ast.unparse(tree)


def _independent_statements(one: ast.stmt, other: ast.stmt) -> bool:
    plain = (ast.Assign, ast.AugAssign, ast.Expr, ast.FunctionDef)
    if not isinstance(one, plain) or not isinstance(other, plain):
        return False
    written, read = (
        {node.id for node in ast.walk(one) if isinstance(node, ast.Name) and isinstance(node.ctx, kind)}
        for kind in (ast.Store, ast.Load)
    )
    names = {node.id for node in ast.walk(other) if isinstance(node, ast.Name)}
    stored = {node.id for node in ast.walk(other) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return names.isdisjoint(written) and stored.isdisjoint(read)


def merged(body: str, words: set[str], draw: random.Random) -> str:
    """Rename and comment what was taken from either of two."""
    return commented(renamed(body, words, draw), words, draw)


def everything(body: str, words: set[str], draw: random.Random) -> str:
    """Reorder, rename and comment."""
    return merged(reordered(body, words, draw), words, draw)


DISGUISES: Mapping[str, Callable[[str, set[str], random.Random], str]] = {
    "renamed": renamed,
    "comments changed": commented,
    "reordered": reordered,
    "all of these": everything,
    "merged from two": merged,
}


def main() -> int:
    """Print the recall by disguise, over ten classes."""
    classes = [measure(independent=36, copies=2, seed=seed) for seed in range(10)]
    for kind in DISGUISES:
        print(f"{kind}: {sum(one.found[kind] for one in classes)} of {sum(one.expected[kind] for one in classes)}")
    found, expected = (sum(sum(getattr(one, name).values()) for one in classes) for name in ("found", "expected"))
    first = classes[0]
    print(f"recall in the first 2 % of pairs: {found / expected:.3f} ({first.students} students, {first.pairs} pairs)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
