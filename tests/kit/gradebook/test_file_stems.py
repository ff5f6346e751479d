"""File names of students: their ids where these can be, and never the same for two."""

from pathlib import Path

import pytest

from autograder.gradebook.files import file_stem


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("ada", True),
        ("Müller, Zoë (2)", True),
        ("राम", True),
        ("O'Brien", True),
        ("a@b.edu", True),
        ("", False),
        (".", False),
        ("..", False),
        (".hidden", False),
        ("a/b", False),
        ("a\\b", False),
        ("a\nb", False),
        ("a:b", False),
        ("x" * 300, False),
        ("名" * 90, False),
        ("a~b", False),
        ("\ud800", False),
    ],
)
def test_a_name_becomes_a_file_stem(tmp_path: Path, name: str, kept: bool) -> None:
    made = file_stem(name)
    assert (made == name) == kept
    assert ("~" in made) != kept
    (tmp_path / f"{made}.json").write_text("")
    assert list(tmp_path.iterdir()) == [tmp_path / f"{made}.json"]


def test_file_names_of_different_names_differ() -> None:
    names = ["a:b", "a_b", "a?b", "a_b.", "x" * 300, "x" * 301, ".a", "a"]
    assert len(set(map(file_stem, names))) == len(names)
