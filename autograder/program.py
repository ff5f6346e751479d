"""A reassembled notebook as a program: steps to execute in order."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from autograder.results import Flag, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One piece of code to execute: a given cell, an answer (`question` is set) or something the student added.

    beside: the question whose cell contains the added code, such as a helper above the answer
    """

    label: str
    source: str
    question: str = ""
    added: bool = False
    beside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """An answer to a question other than the last one in the notebook.

    source: the whole answer cell; file: where it comes from; flag: the remark if it gets more points
    """

    source: str
    file: str
    flag: Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A reassembled notebook.

    unanswered: the questions without an answer: not attempted or missing
    files: for each answered question, the submitted file that its answer came from
    defined: for each name that the submission binds anywhere, the last place, to explain why one is missing
    alternatives: for a question that was answered more than once, the other answers, the latest first
    modules: the text of Python files that were handed in with the notebook, by import name
    version: of the release that it was made from
    written: the answers to written questions; not_asked: the written questions that this version did not have
    """

    notebook: str
    steps: tuple[Step, ...]
    unanswered: Mapping[str, Status] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    defined: Mapping[str, str] = field(default_factory=dict)
    alternatives: Mapping[str, tuple[Alternative, ...]] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    written: Mapping[str, str] = field(default_factory=dict)
    not_asked: tuple[str, ...] = ()

    def with_answers(self, answers: Mapping[str, str]) -> "Program":
        """Return the program with the whole answer cells of these questions replaced by the given text."""
        steps = tuple(
            replace(step, source=answers[step.question]) if step.question in answers else step for step in self.steps
        )
        return replace(self, steps=steps)

    def with_alternative(self, question: str, alternative: Alternative) -> "Program":
        """Return the program with another of the student's own answers to this question."""
        program = self.with_answers({question: alternative.source})
        return replace(program, files={**self.files, question: alternative.file})

    def only(self, questions: frozenset[str], beside: frozenset[str] = frozenset()) -> "Program":
        """Return the program without answers to other questions and without added code.

        beside: the questions whose cells keep their added code
        """

        def stays(step: Step) -> bool:
            return step.beside in beside if step.added else not step.question or step.question in questions

        return replace(self, steps=tuple(filter(stays, self.steps)))

    def without(self, labels: Collection[str]) -> "Program":
        """Return the program without the steps with these labels."""
        return replace(self, steps=tuple(step for step in self.steps if step.label not in labels))

    @property
    def own(self) -> tuple[Step, ...]:
        """The steps from the first answer or added code on; those before are the same for every submission."""
        first = next((i for i, step in enumerate(self.steps) if step.question or step.added), len(self.steps))
        return self.steps[first:]

    def source_of(self, question: str) -> str:
        """Return the answer cell of a question as it is executed."""
        return next((step.source for step in self.steps if step.question == question), "")

    def text(self, numbers: Collection[int] | None = None) -> str:
        """Return all that would be executed after the shared steps: a line of JSON for each step, and for the rest.

        numbers: only these of the own steps
        """
        chosen = [step for number, step in enumerate(self.own) if numbers is None or number in numbers]
        steps = ([step.label, step.source, step.question, step.added] for step in chosen)
        everything = [[self.notebook, sorted(self.modules.items())], *steps]
        return "\n".join(json.dumps(line, ensure_ascii=False) for line in everything)
