"""For staff: what student code returned next to what was expected, and a script that reproduces a failing call."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.errors import printable
from autograder.program import Step
from autograder.reports.words import sentence

if TYPE_CHECKING:  # a trace comes from grading, which imports torch
    from autograder.grading.trace import Call, Trace

FIRST = 6
"""Numbers of a tensor that are shown."""
WIDTH = 160


def returned_lines(trace: "Trace") -> Iterator[str]:
    """Yield for each failed test its message, its last call with the inputs, and what came back."""
    for one in trace.failed:
        case = f" ({one.case})" if one.case else ""
        yield printable(f"✗ {sentence(one.test)}{case}")
        yield printable(f"    expected: {one.message or 'an observation'}")
        for call in one.calls[-1:]:
            yield f"    call: {call.probe}"
            yield from _values(call.inputs, "      given ")
            if isinstance(call.seen, Mapping):
                yield from _values(call.seen, "      returned ")
            else:
                yield printable(f"      returned nothing: {call.seen.status.value} {call.seen.message}")
    if not trace.failed:
        yield "every hidden test passes in the attempt that counts"


def _values(values: Mapping[str, Any], lead: str) -> Iterator[str]:
    for name, value in values.items():
        yield printable(f"{lead}{name} = {short(value)}")[:WIDTH]


def short(value: Any) -> str:
    """Return a value in a few words; of a tensor its shape, kind and first numbers."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        flat = value.flatten()
        numbers = ", ".join(f"{number:.6g}" for number in flat[:FIRST].tolist())
        more = ", …" if flat.shape[0] > FIRST else ""
        return f"[{numbers}{more}] {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {short(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(short, value[:FIRST])) + (", …" if len(value) > FIRST else "")
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


HEAD = '''\
"""Reproduce a call of student code that failed in {question}: {test}.

Made by `autograder show --script`. It runs without a sandbox: read the code before you run it.
"""

import importlib
import random
import re
import sys
import tempfile
import traceback
from os import chdir
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch

RELEASE = Path({release!r})
inf, nan = float("inf"), float("nan")

chdir(RELEASE)
torch.set_num_threads(1)


def seed(number):
    torch.manual_seed(number)
    np.random.seed(number % (1 << 32))
    random.seed(number)


# The cells as graded, and the text of Python files that were handed in.
CELLS = [
{cells}
]
MODULES = {modules!r}

# The probe, and the modules that it needs.
PROBES = {probes!r}

folder = Path(tempfile.mkdtemp())
for name, text in MODULES.items():
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
(folder / "the_probes").mkdir()
for name, text in PROBES.items():
    (folder / "the_probes" / f"{{name}}.py").write_text(text)
sys.path[:0] = [str(RELEASE), str(folder)]

notebook = ModuleType("__main__")
sys.modules["__main__"] = notebook
seed({program_seed})
for label, source in CELLS:
    source = re.sub(r"^\\s*[%!].*$", "", source, flags=re.MULTILINE)
    try:
        exec(compile(source, label, "exec"), vars(notebook))
    except BaseException:
        print(f"{{label}} failed:", file=sys.stderr)
        traceback.print_exc()
probe = next(
    vars(module)[{probe!r}]
    for module in [importlib.import_module(f"the_probes.{{name}}") for name in PROBES]
    if {probe!r} in vars(module) and module.__name__.startswith("the_probes.probes")
)
inputs = {inputs}
seed({seed})
for name, value in probe(SimpleNamespace(**vars(notebook)), **inputs).items():
    print(name, "=", value)
'''


def script(
    trace: "Trace", shared: Sequence[Step], probes: Mapping[str, str], question: str, release: Path
) -> str | None:
    """Return a Python file that makes the failing call of a question's first failed test; None where none failed.

    shared: the given cells before the first answer; probes: the texts of the probes' modules
    """
    failed = next((one for one in trace.failed if one.calls), None)
    if failed is None:
        return None
    call: Call = failed.calls[-1]
    steps = [*shared, *trace.program.own]
    cells = ",\n".join(f"({step.label!r}, {_literal(step.source)})" for step in steps)
    inputs = ", ".join(f"{name!r}: {literal(value)}" for name, value in call.inputs.items())
    return HEAD.format(
        question=question,
        test=re.sub(r'["\\]', "", sentence(failed.test)),
        release=str(release),
        cells=textwrap.indent(cells, "    "),
        modules=dict(trace.program.modules),
        probes=dict(probes),
        program_seed=trace.program_seed,
        seed=trace.seed,
        probe=call.probe,
        inputs="{" + inputs + "}",
    )


def _literal(source: str) -> str:
    """Return a cell as Python text, a line of it on each line."""
    lines = source.split("\n")
    parts = [repr(f"{line}\n") for line in lines[:-1]] + [repr(lines[-1])]
    return parts[0] if len(parts) == 1 else "\n" + "\n".join(f"    {part}" for part in parts)


def literal(value: Any) -> str:
    """Return Python text that makes a value again, exactly."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = str(value.dtype).removeprefix("torch.")
        return f"torch.tensor({value.flatten().tolist()!r}, dtype=torch.{kind}).reshape({tuple(value.shape)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{_joined(value)}]"
    return f"({_joined(value)})" if isinstance(value, tuple) else repr(value)


def _joined(values: Iterable[Any]) -> str:
    return "".join(f"{literal(one)}, " for one in values)
