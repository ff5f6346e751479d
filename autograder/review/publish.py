"""Brings grades.csv and results/<student>.json up to date after a decision, when no run holds the folder.

A decision is in the gradebook at once. The files follow in the background, so that a page never waits for a run that
grades meanwhile.
"""

import logging
import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from autograder.assignment import Assignment
from autograder.errors import KitError
from autograder.gradebook.files import file_stem
from autograder.gradebook.overrides import history
from autograder.gradebook.run import write_views
from autograder.gradebook.store import Gradebook, locked, open_gradebook
from autograder.gradebook.views import RESULTS

RETRY_S = 2.0


class Publisher:
    """Writes the files of a results folder for students whose points or comments changed."""

    def __init__(self, folder: Path, url: str, assignment: Assignment) -> None:
        self.folder = folder
        self.url = url
        self.assignment = assignment
        self._touched: set[str] = set()
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()

    def touch(self, students: Iterable[str]) -> None:
        """Remember that the files of these students are out of date."""
        with self._guard:
            self._touched |= set(students)
            if self._touched:
                self._wake.set()

    def catch_up(self, gradebook: Gradebook) -> None:
        """Touch the students whose file is older than a decision: an earlier session could not write it."""
        newest: dict[str, str] = {}
        for entry in history(gradebook):
            undone = entry.undone.rpartition(", ")[2]
            newest[entry.student] = max(newest.get(entry.student, ""), entry.override.at, undone)
        self.touch(student for student, at in newest.items() if self._older(student, at))

    def _older(self, student: str, at: str) -> bool:
        path = self.folder / RESULTS / f"{file_stem(student)}.json"
        return not path.is_file() or path.stat().st_mtime < datetime.fromisoformat(at).timestamp()

    def flush(self) -> str:
        """Write what is out of date; why it could not be written, empty where it was."""
        with self._guard:
            touched, self._touched = self._touched, set()
        if not touched:
            return ""
        try:
            # Opened as for reading: a gradebook that has gone away is not made anew.
            with open_gradebook(self.folder, self.url, writing=False) as gradebook, locked(self.folder):
                kept = write_views(gradebook, self.assignment, self.folder, touched)
        except (KitError, SQLAlchemyError, OSError) as error:
            with self._guard:
                self._touched |= touched
            return str(error)
        if kept is not None:
            logging.getLogger(__name__).warning("grades.csv was edited by hand; the edited copy is %s", kept)
        return ""

    def work(self) -> None:
        """Write whenever something is out of date, until `stop`."""
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            while self.flush() and not self._stop.wait(RETRY_S):
                pass

    def stop(self) -> None:
        """End `work`."""
        self._stop.set()
        self._wake.set()
