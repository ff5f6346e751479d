"""The edition of a notebook that works alone, for Colab: one file that brings checks, data and modules along.

Its first cells unpack these files and install missing packages; all other cells are those of the notebook. It is a file
of its own, so that the ordinary notebook stays free of packed data. Grading removes these cells (`SETUP`).
"""

import base64
import bz2
import inspect
import io
import json
import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from autograder.authoring import setup_cells
from autograder.notebook import SETUP_END, SETUP_START, Role

FOLDER = PurePosixPath("colab")
MOST = 1 << 20
"""Characters of packed files that a notebook may have; with more of them there is no such edition."""
MOST_UNPACKED = 16 << 20
"""Bytes that files may have before they are packed, as packing large data for nothing takes long."""
WIDTH = 2000
"""Characters of a line of packed files, of which a cell may have a few thousand."""
PACKED = re.compile(r'^\s*packed = """\n(.*?)"""', re.MULTILINE | re.DOTALL)
NOT_NEEDED = frozenset({"jupyter"})
"""Packages that a place which opens a notebook has already."""
TEXT = """\
**This file works alone**, in Google Colab or in any other place that opens a single notebook. Run the next two cells
first: they put the checks and data next to the notebook and install what is missing. If you unzipped the whole
assignment on your own computer, use `{name}.ipynb` instead."""


def edition(
    name: str, notebook: bytes, files: Mapping[PurePosixPath, bytes], pins: Mapping[str, str], version: str
) -> bytes | None:
    """Return the edition of a notebook that works alone; None if its files are too large for a notebook.

    files: what it brings along, by path; pins: what pip installs, by package
    """
    if sum(map(len, files.values())) > MOST_UNPACKED:
        return None
    packed = pack(files)
    if len(packed) > MOST:
        return None
    wanted = {package: pin for package, pin in pins.items() if package not in NOT_NEEDED}
    lines = "\n".join(packed[start : start + WIDTH] for start in range(0, len(packed), WIDTH))
    first = _cell(
        f"the files of {version}", setup_cells.put_files_here, f'packed = """\n{lines}\n"""', "put_files_here(packed)"
    )
    second = _cell("missing packages", setup_cells.install_missing, f"packages = {wanted}", "install_missing(packages)")
    table = json.loads(notebook)
    setup = [_code(f"colab-setup-{number}", source) for number, source in enumerate((first, second), start=1)]
    table["cells"] = [_text(TEXT.format(name=name)), *setup, *table["cells"]]
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode()


def _cell(title: str, function: Callable[..., None], value: str, call: str) -> str:
    """Return the source of a setup cell, which leaves no name behind."""
    names = f"{value.split(' = ')[0]}, {function.__name__}"
    return f"{SETUP_START}: {title}\n{inspect.getsource(function)}\n\n{value}\n{call}\ndel {names}\n{SETUP_END}"


def _text(source: str) -> dict[str, Any]:
    metadata = {"homework": {"role": Role.TEXT}}
    return {
        "cell_type": "markdown",
        "id": "colab-text",
        "metadata": metadata,
        "source": source.splitlines(keepends=True),
    }


def _code(cell_id: str, source: str) -> dict[str, Any]:
    """Return a cell whose code Colab and JupyterLab fold away."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id,
        "metadata": {"cellView": "form", "homework": {"role": Role.SETUP}, "jupyter": {"source_hidden": True}},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }


def pack(files: Mapping[PurePosixPath, bytes]) -> str:
    """Return the files as text that depends on nothing but their paths and bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo(str(path))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return base64.b64encode(bz2.compress(buffer.getvalue())).decode()


def unpacked(cells: list[dict[str, Any]]) -> dict[PurePosixPath, bytes]:
    """Return the files that an edition brings along, by path. Raises ValueError if there are none that can be read."""
    found = PACKED.search("\n".join("".join(cell["source"]) for cell in cells))
    if not found:
        raise ValueError("no cell contains packed files")
    try:
        with tarfile.open(fileobj=io.BytesIO(bz2.decompress(base64.b64decode(found[1])))) as archive:
            members = {member.name: archive.extractfile(member) for member in archive}
            return {PurePosixPath(name): one.read() for name, one in members.items() if one}
    except (ValueError, OSError, EOFError, tarfile.TarError) as error:
        raise ValueError(f"the packed files cannot be read ({error})") from error
