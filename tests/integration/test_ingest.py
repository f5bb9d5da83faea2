"""The ingest loop with real stages, in this process: what lands in the lake, and what a second look costs."""

from pathlib import Path

import pytest

from schemas.config import Config, Engine, Limits
from schemas.errors import ConfigError
from schemas.partition import TABLE_ROW, TEXT_PARAGRAPH
from tests.integration.mill import Mill
from tests.live_vectors import live_vectors

pytestmark = pytest.mark.slow


@pytest.fixture(params=[1, 20_000], ids=["a batch a source", "one batch"])
def mill(tmp_path: Path, request: pytest.FixtureRequest) -> Mill:
    return Mill(tmp_path, Config(engine=Engine(commit_rows=request.param)))


def test_add_change_move_copy_and_delete(mill: Mill):
    mill.write("a.txt", "Alpha is about mills.")
    mill.write("b.txt", "Beta is about bread.")
    first = mill.ingest()
    assert (first.indexed, first.vectors["text/paragraph @ minilm"]) == (2, 2)

    (mill.corpus / "a.txt").rename(mill.corpus / "moved.txt")
    mill.write("b.txt", "Beta is now about stars.")
    mill.write("copy.txt", "Beta is now about stars.")
    second = mill.ingest()
    assert (second.found, second.indexed, second.unchanged, second.duplicate) == (3, 1, 1, 1)
    assert second.gone == 1
    assert second.units == {"text/document": 1, "text/paragraph": 1}
    assert mill.live() == {
        "moved.txt": ["Alpha is about mills."],
        "copy.txt": ["Beta is now about stars."],
    } or (
        mill.live()
        == {"moved.txt": ["Alpha is about mills."], "b.txt": ["Beta is now about stars."]}
    )

    (mill.corpus / "moved.txt").unlink()
    third = mill.ingest()
    assert (third.unchanged, third.gone) == (2, 1)
    assert list(mill.live().values()) == [["Beta is now about stars."]]


def test_text_that_was_embedded_before_is_not_embedded_again(mill: Mill):
    mill.write("a.txt", "One passage that stays.\n")
    mill.ingest()
    mill.write("a.md", "One passage that stays.\n")
    again = mill.ingest()
    assert again.indexed == 1
    assert again.reused == {"text/document @ minilm": 1, "text/paragraph @ minilm": 1}
    assert again.vectors == {}


def test_text_that_was_embedded_for_another_partition_is_not_embedded_again(mill: Mill):
    mill.write("a.csv", "name\nGrist\n")
    mill.ingest()
    (row,) = mill.lake.live_units(TABLE_ROW, ["text"])["text"].to_pylist()
    mill.write("b.txt", row)
    again = mill.ingest()
    assert again.indexed == 1
    assert again.reused == {"text/document @ minilm": 1, "text/paragraph @ minilm": 1}
    assert again.vectors == {}
    space = mill.lake.space_keys()[-1]
    one = live_vectors(mill.lake, space, TABLE_ROW, "text_hash")[1]
    other = live_vectors(mill.lake, space, TEXT_PARAGRAPH, "text_hash")[1]
    assert one.tolist() == other.tolist()


def test_rejects_hold_until_the_file_is_good(mill: Mill):
    mill.write("a.txt", "")
    assert mill.ingest().rejected == {"empty": 1}
    assert mill.ingest().rejected == {"empty": 1}
    assert mill.lake.rejects()["code"].to_pylist() == ["empty"]
    mill.write("a.txt", "Now there is something.")
    assert mill.ingest().indexed == 1
    assert mill.lake.rejects().num_rows == 0


def test_every_copy_of_a_bad_file_is_rejected(mill: Mill):
    for name in ("a.pdf", "b.pdf"):
        (mill.corpus / name).write_bytes(b"%PDF-1.4\n\0\1\2 no objects at all \xff\xfe")
    balance = mill.ingest()
    assert balance.rejected_total == 2
    assert mill.ingest().rejected_total == 2


def test_a_retry_reads_the_named_or_the_retryable_again(mill: Mill):
    mill.write("long.txt", "A mill grinds grain. " * 50)
    mill.write("broken.pdf", "%PDF-1.4 nothing")
    mill.write("good.txt", "All is well.")
    mill.config = mill.config.model_copy(update={"limits": Limits(text_chars=100)})
    assert mill.ingest().rejected == {"limit": 1, "corrupt": 1}
    assert mill.retry().found == 0  # neither comes good by itself
    with pytest.raises(ConfigError, match=r"no reject matches nothing\*"):
        mill.retry("nothing*")

    again = mill.retry("*.txt", "broken.pdf")
    assert (again.found, again.rejected) == (2, {"limit": 1, "corrupt": 1})
    rows = mill.lake.rejects().to_pylist()
    assert {row["path"]: row["attempts"] for row in rows} == {"broken.pdf": 2, "long.txt": 2}

    mill.config = mill.config.model_copy(update={"limits": Limits()})
    assert mill.ingest().rejected == {"limit": 1, "corrupt": 1}  # a run leaves them alone
    assert mill.retry("long.txt").indexed == 1
    assert mill.lake.rejects()["path"].to_pylist() == ["broken.pdf"]
    assert set(mill.live()) == {"good.txt", "long.txt"}

    (mill.corpus / "broken.pdf").unlink()
    assert mill.retry("broken.pdf").gone == 1
    assert mill.lake.rejects().num_rows == 0
    assert mill.ingest().unchanged == 2


def test_what_cannot_be_read_now_stays_as_it_was(mill: Mill):
    mill.write("a.md", "# The mill\n\nAlpha is about mills.")
    mill.ingest()
    live = mill.live()
    text = (mill.corpus / "a.md").read_text()
    for _ in range(2):
        (mill.corpus / "a.md").unlink(missing_ok=True)
        if not (mill.corpus / "a.md").is_symlink():
            (mill.corpus / "a.md").symlink_to(mill.corpus / "not mounted")
        balance = mill.ingest()
        assert (balance.found, balance.rejected, balance.kept) == (1, {"unreadable": 1}, 1)
        assert mill.live() == live
        assert mill.lake.rejects()["code"].to_pylist() == ["unreadable"]
    (mill.corpus / "a.md").unlink()
    mill.write("a.md", text)
    assert mill.ingest().unchanged == 1
    assert mill.lake.rejects().num_rows == 0
    ((known),) = mill.lake.state().paths.values()
    assert (known.title, known.reject_code) == ("The mill", "")


def test_a_moved_file_keeps_what_is_known_of_its_content(mill: Mill):
    mill.write("a.md", "# The mill\n\nAlpha is about mills.")
    mill.ingest()
    (mill.corpus / "a.md").rename(mill.corpus / "b.md")
    assert mill.ingest().units == {}
    (mill.corpus / "b.md").unlink()
    mill.write("other.txt", "Something else.")
    mill.ingest()
    mill.write("c.md", "# The mill\n\nAlpha is about mills.")  # it comes back after it was gone
    assert mill.ingest().units == {}
    assert {k.path: k.title for k in mill.lake.state().paths.values()} == {
        "c.md": "The mill",
        "other.txt": "",
    }
