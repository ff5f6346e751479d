"""Which libraries the code of a release imports, read from its text."""

import ast
import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

MAGIC = re.compile(r"(?m)^\s*[%!].*$")


def libraries_of(sources: Iterable[str], release: Path) -> list[str]:
    """Return the modules of libraries that these cells import at once, also by way of the release's own modules.

    Only the text is looked at. What cannot be parsed imports nothing here; executing it will tell.
    """
    found: dict[str, None] = {}
    seen: set[Path] = set()
    waiting = list(sources)
    while waiting:
        for name in _imported(waiting.pop()):
            place = release.joinpath(*name.split("."))
            top = release / name.partition(".")[0]
            if not top.exists() and not top.with_suffix(".py").exists():
                found[name] = None
            for path in {place.with_suffix(".py"), place / "__init__.py"} - seen:
                seen.add(path)
                if path.is_file():
                    waiting.append(path.read_text(encoding="utf-8", errors="replace"))
    return list(found)


def _imported(source: str) -> Iterator[str]:
    """Yield the modules that a text imports, but in functions; of `from a import b` also `a.b`, which may be one."""
    waiting: list[ast.AST] = []
    for text in (source, MAGIC.sub("", source)):
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            waiting = [ast.parse(text)]
            break
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))
