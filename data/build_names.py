"""Build data/names.txt from the first-name lists of the Faker package.

    python data/build_names.py              write data/names.txt
    python data/build_names.py --check      compare data/names.txt with a rebuild; exit code 1 if they differ

Every locale of Faker is read. A name is kept if it folds entirely to a-z, whatever its locale, so a list in another
script adds nothing, while the romanised lists of Japanese and Chinese names do. The lists themselves are read and
nothing is drawn at random: the same version of Faker gives the same bytes.

A name is normalised in this order:

1. surrounding spaces and apostrophes are removed (Ja'far becomes jafar: the sign belongs to one name);
2. accents are removed by Unicode decomposition, and letters that do not decompose by the table FOLDS;
3. it is converted to lower case;
4. it is dropped unless it has 2 to 15 letters a-z. This drops names of two words (Hans-Peter, Ana Maria: both halves
   are usually listed separately), initials, and names with thorn, eth or schwa: those are distinct letters, so writing
   them in a-z would be transliteration, not folding;
5. it is dropped if it is in NOT_NAMES.

Exit codes: 0 done, 1 --check found a difference, 2 an error, printed as one line on stderr.
"""

import argparse
import contextlib
import importlib
import os
import pkgutil
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

NAMES_FILE = Path(__file__).resolve().with_name("names.txt")
FAKER_VERSION = "40.54.0"

PLAIN = re.compile(r"[a-z]{2,15}")
LETTERS = re.compile(r"[a-z]+")

# Only letters that are a plain letter with a stroke, an i without its dot (\u0131), or two letters in one.
FOLDS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "\u0131": "i", "ß": "ss", "æ": "ae", "œ": "oe"})
APOSTROPHES = str.maketrans("", "", "'\u2018\u2019\u02bb\u02bc")

# Listed, but not first names. Titles that are in everyday use as first names (Earl, Duke, Prince) stay.
PLACEHOLDERS = {"baby", "infant", "male", "sister", "son", "unknown", "unnamed"}
ABBREVIATIONS = {"chas", "edw", "geo", "robt", "thos", "wm"}
PARTICLES = {"el", "ibn"}
RANKS = {"admiral", "captain", "colonel", "commodore", "general", "major"}
FORMS_OF_ADDRESS = {"doc", "governor", "judge", "lady", "saint", "squire"}
NOT_NAMES = PLACEHOLDERS | ABBREVIATIONS | PARTICLES | RANKS | FORMS_OF_ADDRESS

# first_names, first_names_male, first_romanized_names, ...; not the pairs of spellings in first_name_pairs.
LIST_NAME = re.compile(r"first_(\w+_)?names(_\w+)?")


class DataError(Exception):
    """An error to print as one line: what happened, where, what to do next."""

    def __init__(self, what: str, where: object, fix: str) -> None:
        super().__init__(what, where, fix)
        self.what, self.where, self.fix = what, str(where), fix

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"


def fold(name: str) -> str:
    """Return the name in lower case and without its accents; characters without a plain form are unchanged."""
    bare = "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))
    return bare.lower().translate(FOLDS)


def plain_name(entry: str) -> str | None:
    """Return the entry of a list as a line of names.txt, or None if it is left out."""
    name = fold(entry.strip().translate(APOSTROPHES))
    return name if PLAIN.fullmatch(name) and name not in NOT_NAMES else None


def build(entries: Iterable[str]) -> str:
    """Return the text of names.txt: the plain names, each once, sorted, one per line."""
    names = {name for entry in entries if (name := plain_name(entry))}
    return "".join(f"{name}\n" for name in sorted(names))


def check_names(text: str) -> None:
    """Check that the notebooks can read a text: one name per line, letters a-z only, the last newline optional.

    Raises ValueError, with the line number, for the first line that holds anything else.
    """
    if not text.strip():
        raise ValueError("it contains no names")
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        if not LETTERS.fullmatch(line):
            raise ValueError(f"line {number}: {line[:40]!r} is not a name of the letters a-z")


def faker_entries() -> Iterator[str]:
    """Yield every entry of every first-name list in Faker, as written there."""
    try:
        person = importlib.import_module("faker.providers.person")
    except ModuleNotFoundError as error:
        raise DataError(
            "the package Faker is not installed", sys.executable, f"run: pip install Faker=={FAKER_VERSION}"
        ) from error
    for locale in sorted(module.name for module in pkgutil.iter_modules(person.__path__)):
        provider = importlib.import_module(f"{person.__name__}.{locale}").Provider
        # vars(), not getattr(): inherited lists are read in the locale that defines them.
        for attribute, entries in vars(provider).items():
            if LIST_NAME.fullmatch(attribute) and isinstance(entries, (tuple, list, dict)):
                yield from entries


def write_atomically(path: Path, content: bytes) -> None:
    """Write the file atomically.

    Raises DataError if the folder cannot be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"cannot be written ({reason})", path, "name a file in a writable folder with --out") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def difference(found: str, rebuilt: str) -> str:
    """Return how a names file differs from its rebuild, empty if it does not."""
    if found == rebuilt:
        return ""
    have, want = set(found.split("\n")), set(rebuilt.split("\n"))
    if have == want:
        return "the same names, but in another order, repeated or with other line endings"
    return f"names missing: {len(want - have)}, too many: {len(have - want)}"


def check(path: Path, rebuilt: str) -> int:
    """Print whether the file equals the rebuild; return the exit code."""
    try:
        found = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", path, "build it first: python data/build_names.py"
        ) from error
    differs = difference(found, rebuilt)
    if not differs:
        print(f"{path}: equals a rebuild, {len(rebuilt.splitlines()):,} names")
        return 0
    installed = importlib.import_module("faker").VERSION
    print(f"{path}: differs from a rebuild: {differs}; built with Faker {FAKER_VERSION}, installed is {installed}")
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the names file from the first-name lists of Faker.")
    parser.add_argument(
        "--out", type=Path, default=NAMES_FILE, help="the names file (default: names.txt next to this script)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 unless it equals a rebuild")
    args = parser.parse_args(argv)
    try:
        text = build(faker_entries())
        check_names(text)
        if args.check:
            return check(args.out, text)
        write_atomically(args.out, text.encode("ascii"))
    except DataError as error:
        print(f"build_names: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {len(text.splitlines()):,} names")
    return 0


if __name__ == "__main__":
    sys.exit(main())
