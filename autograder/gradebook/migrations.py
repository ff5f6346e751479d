"""The migration of gradebooks of older versions."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Engine, insert, inspect, select, text, update

from autograder.errors import UsageError
from autograder.gradebook import schema, transcripts
from autograder.gradebook.blobs import read_lists
from autograder.gradebook.schema import meta, tables


def _with_pictures(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE tests ADD COLUMN picture TEXT"))


def _with_bonus(connection: Connection) -> None:
    """Add what says whether a question is a bonus; until version 4 none was."""
    connection.execute(text("ALTER TABLE scores ADD COLUMN bonus BOOLEAN NOT NULL DEFAULT FALSE"))


def _with_transcripts(connection: Connection) -> None:
    """Put the replies of each program into one blob; until version 5 each was a row."""
    schema.bases.create(connection)
    binary = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    connection.execute(text(f"ALTER TABLE programs ADD COLUMN replies {binary}"))
    programs = schema.programs.c
    for row in connection.execute(select(programs.key, programs.text)).all():
        rows = connection.execute(
            text("SELECT place, request, answer FROM replies WHERE program = :program"), {"program": row.key}
        )
        replies = {one.place: transcripts.Stored(one.request, one.answer) for one in rows}
        if replies:
            first = read_lists(connection, [row.text])[row.text][0].decode(errors="surrogatepass")
            digest = transcripts.write(connection, first, replies)
            connection.execute(update(schema.programs).where(programs.key == row.key).values(replies=digest))
    connection.execute(text("DROP TABLE replies"))


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {
    2: schema.parts.create,
    3: _with_pictures,
    4: _with_bonus,
    5: _with_transcripts,
}
"""By version: what upgrades a gradebook from the version before."""


def prepare(engine: Engine, where: str) -> None:
    """Create the tables of a new gradebook, or upgrade those of an older version, keeping a copy of a file.

    Raises UsageError for a gradebook of a newer version.
    """
    if not inspect(engine).has_table("meta"):
        with engine.begin() as connection:
            tables.create_all(connection)
            connection.execute(insert(meta).values(key="version", value=str(schema.VERSION)))
        return
    found = version_of(engine, where)
    if found < schema.VERSION and engine.url.get_backend_name() == "sqlite" and engine.url.database:
        copy = f"{engine.url.database}.version-{found}"
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM INTO :copy"), {"copy": copy})  # with what is not in the main file yet
    for version in range(found + 1, schema.VERSION + 1):
        with engine.begin() as connection:
            MIGRATIONS[version](connection)
            connection.execute(update(meta).where(meta.c.key == "version").values(value=str(version)))


def version_of(engine: Engine, where: str) -> int:
    """Return the version of a gradebook. Raises UsageError for a newer one than this kit knows, or where none is."""
    if not inspect(engine).has_table("meta"):
        raise UsageError("no results here", where, "give the folder that `autograder grade --out` wrote")
    with engine.connect() as connection:
        found = int(connection.execute(select(meta.c.value).where(meta.c.key == "version")).scalar_one())
    if found > schema.VERSION:
        what = f"a gradebook of version {found}, made by a newer kit; this kit reads up to version {schema.VERSION}"
        raise UsageError(what, where, "update the kit")
    return found
