"""Gradebooks as older versions of the kit left them, to be migrated."""

from sqlalchemy import Connection, text


def to_version_4(connection: Connection) -> None:
    """Undo what version 5 changed in the tables: each reply was a row, and no blob built on another."""
    binary = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    columns = ", ".join(f"{name} {binary} NOT NULL" for name in ("program", "place", "request", "answer"))
    connection.execute(text(f"CREATE TABLE replies ({columns}, PRIMARY KEY (program, place))"))
    connection.execute(text("ALTER TABLE programs DROP COLUMN replies"))
    connection.execute(text("DROP TABLE bases"))
    connection.execute(text("UPDATE meta SET value = '4' WHERE key = 'version'"))


def to_version_3(connection: Connection) -> None:
    """Undo what versions 4 and 5 changed: no question was a bonus."""
    to_version_4(connection)
    connection.execute(text("ALTER TABLE scores DROP COLUMN bonus"))
    connection.execute(text("UPDATE meta SET value = '3' WHERE key = 'version'"))


def to_version_2(connection: Connection) -> None:
    """Undo what versions 3 to 5 changed: no test had a picture."""
    to_version_3(connection)
    connection.execute(text("ALTER TABLE tests DROP COLUMN picture"))
    connection.execute(text("UPDATE meta SET value = '2' WHERE key = 'version'"))
