from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas.config import Limits
from schemas.errors import CorruptError, EncryptedError, LimitError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from tests.documents import CONTAINER, epub, zipped

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content

CHAPTERS = {
    "two%20words.xhtml": "",
    "b.xhtml": "<h1>Wind</h1><p>It <i>blows</i>.</p><script src='x'/><p>It turns.</p>",
    "a.xhtml": "<h1>Water</h1><table><tr><th>a<th>b</tr><tr><td>1<td>2</tr></table>",
}


def read(path: Path, **limits: int) -> Content:
    return decode(path, "epub", DecodeOptions(limits=Limits(**limits)))[0]


def test_chapters_come_in_the_order_of_the_spine(tmp_path: Path) -> None:
    content = read(epub(tmp_path / "a.epub", {k: v for k, v in CHAPTERS.items() if v}))
    assert content.title == "A Mill"
    assert [(b.kind, b.text) for b in content.blocks] == [
        ("heading", "Wind"),
        ("paragraph", "It blows."),
        ("paragraph", "It turns."),
        ("heading", "Water"),
    ]
    text = "\n".join(block.text for block in content.blocks)
    assert all(text[b.char_start : b.char_end] == b.text for b in content.blocks)
    assert [table.header for table in content.tables] == [("a", "b")]


def test_a_missing_chapter_is_lost_alone(tmp_path: Path) -> None:
    content = read(
        epub(tmp_path / "a.epub", CHAPTERS)
    )  # its name in the package is quoted, in the archive too
    assert [reject.code for reject in content.rejects] == ["corrupt"]
    assert "'OEBPS/two words.xhtml' is missing" in content.rejects[0].reason
    assert len(content.blocks) == 4


def test_copy_protection_is_told_from_scrambled_fonts(tmp_path: Path) -> None:
    cipher = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData><CipherData>'
        '<CipherReference URI="OEBPS/{}"/></CipherData></EncryptedData></encryption>'
    )
    chapters = {"a.xhtml": "<p>Words</p>"}
    fonts = epub(
        tmp_path / "a.epub", chapters, extra={"META-INF/encryption.xml": cipher.format("f.otf")}
    )
    assert [block.text for block in read(fonts).blocks] == ["Words"]
    locked = epub(
        tmp_path / "b.epub", chapters, extra={"META-INF/encryption.xml": cipher.format("a.xhtml")}
    )
    with pytest.raises(EncryptedError, match="copy protection"):
        read(locked)


def test_bombs_and_damage(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=r"limits\.expanded_bytes = 9000"):
        read(epub(tmp_path / "a.epub", {"a.xhtml": "<p>x</p>" * 9000}), expanded_bytes=9000)
    with pytest.raises(LimitError, match=r"limits\.nesting"):
        read(epub(tmp_path / "a.epub", {"a.xhtml": "<div>" * 5000}))
    bare = zipped(tmp_path / "b.epub", {"mimetype": "application/epub+zip"})
    with pytest.raises(CorruptError, match="without META-INF"):
        read(bare)
    headless = zipped(
        tmp_path / "c.epub",
        {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER},
    )
    with pytest.raises(CorruptError, match=r"OEBPS/book\.opf"):
        read(headless)
