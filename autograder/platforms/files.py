"""The files of a download: folders and archives listed by name, and read one at a time in memory.

Nothing is unpacked to disk, links are not followed, and every size is bounded before memory is allocated. Names are
only for people to read and never used as paths: `..`, drive letters and leading slashes are removed.
"""

import functools
import io
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from autograder.notebook import NotANotebook

MAX_LISTED = 200_000
"""Maximum files of a whole download; one more is listed, which tells that there are more."""
MAX_DEPTH = 50
"""Nesting depth of folders; anything deeper is ignored."""
MAX_ARCHIVE = 256 << 20
"""Maximum bytes of an archive inside an archive, which is read into memory."""
MAX_NAME = 255
JUNK = frozenset(
    {
        "__MACOSX",
        ".DS_Store",
        ".ipynb_checkpoints",
        "Thumbs.db",
        "desktop.ini",
        "__pycache__",
        ".git",
        ".sample-batch",
    }
)
"""Names of systems, editors and this kit, which nobody hands in."""
DAMAGED = "the archive is damaged or password-protected; zip the notebooks again"


@functools.lru_cache(maxsize=100_000)
def _parts(name: str) -> tuple[str, ...]:
    """Split a path; each format of a download looks at all of them, several times over."""
    return PurePosixPath(name).parts


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file in a folder or in an open archive.

    name: its path below the listed folder, with `/`, in NFC; changed: the time in an archive, without time zone
    why: the reason why it cannot be read, empty if it can
    """

    name: str
    path: Path
    archive: zipfile.ZipFile | None = None
    member: zipfile.ZipInfo | None = None
    size: int = 0
    changed: str = ""
    why: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        return _parts(self.name)

    def open(self) -> IO[bytes]:
        """Open the file. Raises any error of the file system or the archive."""
        if self.archive is not None and self.member is not None:
            return self.archive.open(self.member)
        return self.path.open("rb")

    def read(self, limit: int) -> bytes:
        """Return at most `limit` + 1 bytes. Raises NotANotebook with the reason if they cannot be read."""
        if self.why:
            raise NotANotebook(self.why)
        try:
            with self.open() as file:
                return file.read(limit + 1)
        except OSError as error:
            raise NotANotebook(f"the file cannot be read ({error.strerror or error})") from None
        except Exception:  # each compression method raises its own errors for damaged bytes, not all documented
            raise NotANotebook(DAMAGED) from None

    def below(self, parent: str) -> "FoundFile":
        """Return the file with another name in front of its own."""
        return replace(self, name=f"{parent}/{self.name}")


def is_junk(parts: Sequence[str]) -> bool:
    """Return whether a path is a system file, such as a checkpoint folder or a macOS resource fork."""
    return any(part in JUNK or part.startswith("._") for part in parts)


def plain_name(name: str) -> str:
    """Return a path for people to read: with `/`, without parts that lead out of the folder, in NFC.

    It is cut to the length allowed by file systems; archives may contain longer names.
    """
    parts = re.sub(r"^[A-Za-z]:", "", name.replace("\\", "/")).split("/")
    kept = [part[-MAX_NAME:] for part in parts if part not in ("", ".", "..")]
    return unicodedata.normalize("NFC", "/".join(kept[-MAX_DEPTH:]))


def list_folder(folder: Path) -> Iterator[FoundFile]:
    """List the files below a folder, in the order of their names.

    Links, devices and folders that cannot be read are listed with the reason. Raises OSError for the folder itself.
    """
    folders = [(folder, 0)]
    count = 0
    while folders:
        current, depth = folders.pop()
        try:
            with os.scandir(current) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if current != folder:
                why = f"the folder cannot be read ({error.strerror}); correct its permissions"
                yield FoundFile(name=_relative(current, folder), path=current, why=why)
                continue
            raise
        deeper = []
        for entry in entries:
            if is_junk([entry.name]):
                continue
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    deeper.append((path, depth + 1))
                continue
            count += 1
            if count > MAX_LISTED + 1:
                return
            yield _on_disk(path, _relative(path, folder))
        folders += reversed(deeper)


def on_disk(path: Path) -> FoundFile:
    """Return a single file by its own name."""
    return _on_disk(path, unicodedata.normalize("NFC", path.name))


def _on_disk(path: Path, name: str) -> FoundFile:
    try:
        state = path.lstat()
    except OSError as error:
        return FoundFile(name=name, path=path, why=f"the file cannot be read ({error.strerror})")
    if stat.S_ISLNK(state.st_mode):
        return FoundFile(name=name, path=path, why="this is a link, which is not followed; submit the file itself")
    if not stat.S_ISREG(state.st_mode):
        return FoundFile(name=name, path=path, why="this is a device or a pipe, not a file")
    return FoundFile(name=name, path=path, size=state.st_size)


def _relative(path: Path, folder: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())


def open_archive(file: FoundFile) -> zipfile.ZipFile:
    """Open a file that is a zip. Raises NotANotebook with the reason if it is not one or damaged."""
    try:
        if file.archive is None and not file.why:
            return zipfile.ZipFile(file.path)
        data = file.read(MAX_ARCHIVE)
        if len(data) > MAX_ARCHIVE:
            raise NotANotebook(f"the archive is larger than {MAX_ARCHIVE >> 20} MiB; hand in the notebooks themselves")
        return zipfile.ZipFile(io.BytesIO(data))
    except OSError as error:
        raise NotANotebook(f"the file cannot be read ({error.strerror or error})") from None
    except NotANotebook:
        raise
    except Exception:  # as above
        raise NotANotebook(DAMAGED) from None


def list_archive(archive: zipfile.ZipFile, path: Path) -> list[FoundFile]:
    """List the files of an open archive, except folders and system files, up to the limit."""
    found = []
    for member in archive.infolist()[: MAX_LISTED + 1]:
        name = plain_name(_decoded(member))
        if not name or member.is_dir() or is_junk(PurePosixPath(name).parts):
            continue
        kind = stat.S_IFMT(member.external_attr >> 16)
        why = "this is a link or a device in an archive, which is not read" if kind not in (0, stat.S_IFREG) else ""
        if member.flag_bits & 1:
            why = "the archive is password-protected; zip the notebooks again without a password"
        changed = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*member.date_time)
        found.append(
            FoundFile(
                name=name, path=path, archive=archive, member=member, size=member.file_size, changed=changed, why=why
            )
        )
    return found


def _decoded(member: zipfile.ZipInfo) -> str:
    """Return a member's name; many programs write UTF-8 without declaring it, which is read as code page 437."""
    if member.flag_bits & 0x800:
        return member.filename
    try:
        return member.filename.encode("cp437").decode()
    except UnicodeError:
        return member.filename


def first_bytes(file: FoundFile, count: int = 4096) -> bytes:
    """Return the first bytes of a file, none if it cannot be read."""
    if file.why:
        return b""
    try:
        with closing(file.open()) as opened:
            return opened.read(count)
    except Exception:  # as above
        return b""
