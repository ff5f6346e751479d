"""The `grader` of a notebook: run its public checks and create the file to hand in.

`python -m src.grader NOTEBOOK` re-runs a saved notebook without its demonstrations and prints the results as JSON.
"""

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
"""The assignment's folder: it contains the notebooks, `src` and `tests`."""
RERUN_LIMIT_S = 600
SAVE_LIMIT_S = 5
REGION = re.compile(r"# TODO (\w+) \(.*?\*START OF YOUR CODE[^\n]*\n(.*?)\n[^\n]*\*END OF YOUR CODE", re.DOTALL)
LAST_LINE = re.compile(r"^results: (.*)$", re.MULTILINE)
BANNER = re.compile(r"<!--[\s*]*TODO (\w+) \(")
"""The first line of the text cell for the answer to a written question."""
NO_ANSWER = re.compile(r"<!--.*?-->|^\*Your answer to \w+: .*\*$", re.DOTALL | re.MULTILINE)
"""What such a cell contains as released."""


class HandInError(Exception):
    """Raised with one line that says why nothing can be checked or handed in."""


class Grader:
    """Checks and hand-in of one notebook.

    notebook: its file name without `.ipynb`; home: the assignment's folder
    """

    def __init__(self, notebook: str, home: Path = HOME) -> None:
        self.notebook = notebook
        self.home = home
        self.path = home / f"{notebook}.ipynb"

    def check(self, question: str) -> None:
        """Run the checks of a question on what the notebook defines and print the result."""
        try:
            if question in self.written_questions():
                raise HandInError(f"{question} is a written question: a person grades it, so there is no check")
            if question not in self.questions():
                raise HandInError(f"{question} is not a question of this notebook; it has {', '.join(self.questions())}")
            problems = self.problems(question, _namespace())
        except HandInError as error:
            print(error)
            return
        print(f"{question} {'failed' if problems else 'passed'}")
        for problem in problems:
            print(f"  {problem}")

    def check_all(self) -> None:
        """Run the checks of every question of this notebook; print one line each, and a sum."""
        try:
            print(_report({question: self.problems(question, _namespace()) for question in self.questions()}))
        except HandInError as error:
            print(error)

    def export(self) -> None:
        """Save the notebook, re-run it from the start, report its checks and write the zip file to hand in.

        Asks first, so that "Run all" does not hand in by itself.
        """
        try:
            self.refuse_other_notebooks(_namespace())
            if not _confirmed():
                print("Nothing was written. Run this cell by itself to hand in.")
                return
            saved = _save(self.path)
            if not self.path.is_file():
                raise HandInError("Colab did not answer. Choose File, Download, Download .ipynb, and hand in that file.")
            self.refuse_untouched_file(_namespace())
            target = self.write_zip()
        except HandInError as error:
            print(error)
            return
        when = time.strftime("%H:%M", time.localtime(self.path.stat().st_mtime))
        print(f"Wrote {target.name}: it contains {self.path.name} as saved at {when}. Hand in this file.")
        if not saved:
            print("The notebook could not be saved from here: if you changed it after that time, save it and run again.")
        _download(target)
        self._print_rerun()

    def questions(self) -> list[str]:
        """Return the questions of this notebook that have checks, in order.

        Raises HandInError if the assignment is incomplete.
        """
        return self._listed("questions")

    def written_questions(self) -> list[str]:
        """Return the written questions of this notebook, in order. Raises HandInError if the assignment is incomplete."""
        return self._listed("written_questions")

    def _listed(self, kind: str) -> list[str]:
        try:
            manifest = json.loads((self.home / "MANIFEST.json").read_text(encoding="utf-8"))
            table = manifest["questions"] if kind == "questions" else manifest.get(kind, {})
        except (OSError, ValueError, KeyError):
            raise HandInError(f"MANIFEST.json is missing in {self.home}; unzip the whole assignment again") from None
        return [question for question, entry in table.items() if entry["notebook"] == self.notebook]

    def written(self) -> dict[str, bool]:
        """Return for each written question of this notebook whether its saved file contains an answer."""
        texts = dict.fromkeys(self.written_questions(), "")
        question = ""
        for cell in _cells(self.path):
            released, source = cell["metadata"].get("homework"), "".join(cell["source"])
            if banner := BANNER.search(source):
                question = banner[1]
            elif released:
                question = released.get("question", "") if released.get("role") == "answer" else ""
            if question in texts and (banner or released or cell["cell_type"] != "code"):  # own text below counts, too
                texts[question] += NO_ANSWER.sub("", source).strip()
        return {question: bool(text) for question, text in texts.items()}

    def problems(self, question: str, namespace: Mapping[str, Any]) -> list[str]:
        """Return what the checks of a question say about these definitions; nothing if they pass.

        Raises HandInError if the file with the checks is missing.
        """
        found = []
        for check in _checks(self.home / "tests" / f"{question}.py"):
            try:
                check(namespace)
            except Exception as error:
                found.append(str(error) or type(error).__name__)
        return list(dict.fromkeys(found))

    def refuse_other_notebooks(self, namespace: Mapping[str, Any]) -> None:
        """Raise HandInError if the notebook's file is missing or another notebook is open.

        Colab has no such file: there, the open notebook is handed in, whatever its name.
        """
        if _colab():
            return
        opened = _open_notebook(namespace)
        if opened and opened != self.path.name:
            raise HandInError(
                f"You have {opened} open, but this cell hands in {self.path.name}. Rename your notebook to "
                f"{self.path.name}, restart its kernel, run it and then run this cell again."
            )
        if not self.path.is_file():
            raise HandInError(f"{self.path.name} is not in {self.home}. If you renamed or moved it, undo that and run again.")

    def refuse_untouched_file(self, namespace: Mapping[str, Any]) -> None:
        """Raise HandInError if answers that ran in this session are missing in the notebook's file."""
        saved = regions("\n".join(source for _, source in _code_cells(self.path)))
        ran = regions("\n".join(namespace.get("In", [])))
        missing = [key for key, text in ran.items() if not _stub(key, text) and _stub(key, saved.get(key, ""))]
        if missing:
            raise HandInError(
                f"{self.path.name} does not contain your answer to {', '.join(missing)}: save the notebook and run "
                f"this cell again. If you work in a copy, rename it to {self.path.name} first."
            )

    def write_zip(self) -> Path:
        """Write the zip file to hand in, replacing an earlier one; return its path."""
        target = self.home / f"{self.notebook}-handin.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(self.path, self.path.name)
        return target

    def _print_rerun(self) -> None:
        print("Checks after a re-run from the start (without the demonstrations):")
        command = [sys.executable, "-m", "src.grader", self.notebook]
        environment = os.environ | {"MPLBACKEND": "agg"}
        try:
            done = subprocess.run(
                command, cwd=self.home, env=environment, capture_output=True, text=True, timeout=RERUN_LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"  The re-run did not finish in {RERUN_LIMIT_S // 60} minutes. Infinite loop?")
            return
        results = LAST_LINE.search(done.stdout)
        if not results:
            print("  The notebook could not be re-run. Restart the kernel, run all cells and look for an error.")
            return
        print(_report(json.loads(results[1]), self.written()))

    def rerun(self) -> dict[str, list[str]]:
        """Run the saved notebook without its demonstrations in a fresh shell; return the problems by question."""
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for role, source in _code_cells(self.path):
                if role not in ("demo", "check", "setup"):
                    shell.run_cell(source)
        return {question: self.problems(question, shell.user_ns) for question in self.questions()}


def regions(text: str) -> dict[str, str]:
    """Return the text between the START and END lines by question; of several, the last."""
    return {found[1]: found[2] for found in REGION.finditer(text)}


def _stub(question: str, text: str) -> bool:
    return f'NotImplementedError("{question}")' in text or not text.strip()


def _report(problems: Mapping[str, list[str]], written: Mapping[str, bool] | None = None) -> str:
    """One line per question and a sum. written: whether each written question is answered"""
    lines, written = [], written or {}
    for question, found in problems.items():
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        first = found[0].partition(": replace `raise")[0] if found else ""  # what to do is said by `check`
        lines.append(f"{question:<4} {'failed: ' + first + more if found else 'passed'}")
    for question, answered in written.items():
        lines.append(f"{question:<4} written, graded by a person: {'answered' if answered else 'not answered'}")
    total = f"{sum(not found for found in problems.values())} of {len(problems)} checks pass"
    if written:
        total += f", {sum(written.values())} of {len(written)} written questions are answered"
    return "\n".join([*lines, f"{total}."])


def _checks(path: Path) -> list[Any]:
    """The check functions in a file of `tests`."""
    if not path.is_file():
        raise HandInError(f"tests/{path.name} is missing in {path.parent.parent}; unzip the whole assignment again")
    spec = importlib.util.spec_from_file_location(f"check_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise HandInError(f"tests/{path.name} cannot be read; unzip the whole assignment again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [value.test_func for value in vars(module).values() if hasattr(value, "test_func")]


def _cells(path: Path) -> list[Any]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["cells"])
    except (OSError, ValueError, KeyError):
        raise HandInError(f"{path.name} cannot be read as a notebook; save it again") from None


def _code_cells(path: Path) -> list[tuple[str, str]]:
    """Role and source of each code cell of a notebook file; cells that a student added have no role."""
    found = []
    for cell in _cells(path):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and not source.lstrip().startswith(("grader.", "import otter")):
            found.append((cell["metadata"].get("homework", {}).get("role", ""), source))
    return found


def _namespace() -> MutableMapping[str, Any]:
    """What the running notebook defines; empty outside of IPython."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return {} if shell is None else shell.user_ns


def _open_notebook(namespace: Mapping[str, Any]) -> str:
    """The file name of the open notebook, where Jupyter or VS Code says it."""
    path = namespace.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
    name = re.split(r"[/\\]", str(path))[-1]
    return name if name.endswith(".ipynb") else ""


def _confirmed() -> bool:
    try:
        return input("Create the file to hand in now? Type yes: ").strip().lower() in ("y", "yes")
    except (EOFError, NotImplementedError):  # nobody is there to answer, as when all cells are run by a program
        return False


def _colab() -> Any:
    """The module of Google Colab, None elsewhere."""
    return sys.modules.get("google.colab")


def _save(path: Path) -> bool:
    """Ask Jupyter or Colab to save the open notebook in its file; return whether this was done."""
    with contextlib.suppress(Exception):
        if _colab():
            from google.colab import _message

            notebook = _message.blocking_request("get_ipynb", timeout_sec=SAVE_LIMIT_S)["ipynb"]
            path.write_text(json.dumps(notebook), encoding="utf-8")
            return True
        from otter.check.utils import save_notebook

        return bool(save_notebook(str(path), timeout=SAVE_LIMIT_S))
    return False


def _download(path: Path) -> None:
    """Let the browser download a file from Colab; elsewhere it is on the student's computer already."""
    with contextlib.suppress(Exception):
        if _colab():
            from google.colab import files

            files.download(str(path))


if __name__ == "__main__":
    print(f"results: {json.dumps(Grader(sys.argv[1]).rerun())}")
