"""Authored files: read as text, and the hidden tests and probes of an assignment loaded by path.

They are course content, not part of the package, so they cannot be imported by name. Each folder becomes a package
with a unique name, in which relative imports work; two courses can be loaded in one process without conflict.
"""

import importlib
import sys
import zlib
from pathlib import Path
from types import ModuleType

from autograder.errors import MasterError

PACKAGE = "hidden_tests_"
"""How the names begin of packages that folders of hidden tests become."""

BYTE_ORDER_MARK = "\ufeff"


def authored_text(path: Path) -> str:
    """Return the text of an authored file. Raises MasterError, with the line, where it is not plain UTF-8."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MasterError("not text in UTF-8", f"{path}:{line}", "save it as UTF-8") from error
    if text.startswith(BYTE_ORDER_MARK):
        raise MasterError("the file starts with a byte order mark", f"{path}:1", "save it as UTF-8 without BOM")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def package_name(folder: Path) -> str:
    """Return the name of the package that this folder of hidden tests becomes."""
    return f"{PACKAGE}{zlib.crc32(str(folder.resolve()).encode()):08x}"


def load_module(folder: Path, stem: str) -> ModuleType:
    """Import `<stem>.py` of a folder of hidden tests; raises whatever the module raises."""
    name = package_name(folder)
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return importlib.import_module(f"{name}.{stem}")


def forget(folder: Path) -> None:
    """Remove the folder's modules from the import system, so that the next load reads the files again."""
    name = package_name(folder)
    for module in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[module]
    importlib.invalidate_caches()
