"""The commands about spaces, as a user gives them, on Ray."""

from pathlib import Path

import pytest

from tests.integration.test_line import asked, gristmill

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ONE = ("--workers", "1")
TEXT_ALONE = '[profile]\nspaces = ["minilm"]\n'


def test_a_space_is_added_beside_another_asked_and_dropped(tmp_path: Path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mill.md").write_text("# The mill\n\nThe wheel drives the stones.\n")
    (tmp_path / "corpus" / "page.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="40" height="40" fill="red"/></svg>'
    )
    config = tmp_path / "text.toml"
    config.write_text(TEXT_ALONE)
    where = ("--lake", str(tmp_path / "lake"), "--config", str(config))
    first = gristmill("run", str(tmp_path / "corpus"), *where, *ONE)
    assert {row["partition"] for row in first["published"]} == {"text/document", "text/paragraph"}

    foreseen = gristmill("reindex", "--space", "conse", "--dry-run", *where)
    assert (foreseen["embed"], foreseen["decode"], foreseen["vectors"]) == (1, 1, 1)
    added = gristmill("reindex", "--space", "conse", *where, *ONE)
    balance = added["balance"]
    assert (balance["found"], balance["reembedded"], balance["redecoded"]) == (2, 1, 1)
    assert balance["vectors"] == {"image/image @ conse": 1}
    assert {row["partition"] for row in added["published"]} == {
        *(row["partition"] for row in first["published"]),
        "image/image",
    }
    rows = {row["name"]: row for row in asked("spaces", *where)["spaces"]}
    assert {name: row["published"] for name, row in rows.items()} == {"minilm": True, "conse": True}
    assert {name: row["in_profile"] for name, row in rows.items()} == {
        "minilm": True,
        "conse": False,
    }
    lake = where[:2]
    hits = asked("search", "a red square", "--space", "conse", *lake)["hits"]
    assert [hit["partition"] for hit in hits] == ["image/image"]

    # A run whose profile does not name it leaves it where it is, while it is complete.
    again = gristmill("run", str(tmp_path / "corpus"), *where, *ONE)
    assert again["snapshot"] == added["snapshot"]
    dropped = gristmill("spaces", "--drop", "conse", *where)
    assert dropped["snapshot"] == first["snapshot"]
    gristmill("reindex", *where, expect=2)
