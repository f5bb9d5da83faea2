from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import docx as library
import pytest
from PIL import Image

from schemas.config import Limits
from schemas.errors import CorruptError, EncryptedError, LimitError, UnsupportedError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.decode.sniff import sniff
from tests.documents import compound, docx, rezipped

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
NOTES = (
    b'<w:footnotes xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    b'<w:footnote w:id="2"><w:p><w:r><w:t>See the miller.</w:t></w:r></w:p></w:footnote></w:footnotes>'
)


def read(path: Path, **limits: int) -> Content:
    content, arrays = decode(path, "docx", DecodeOptions(limits=Limits(**limits)))
    assert arrays == ()
    assert content.media_type == DOCX
    return content


def shown(content: Content) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in content.blocks]


def run(text: str) -> str:
    return f"<w:r><w:t xml:space='preserve'>{text}</w:t></w:r>"


def paragraph(text: str) -> str:
    return f"<w:p>{run(text)}</w:p>"


def test_styles_say_what_a_paragraph_is(tmp_path: Path) -> None:
    document = library.Document()
    document.add_heading("Mills of the valley", 0)  # the style Title
    document.add_heading("Water", 1)
    document.add_paragraph("A  wheel\tturns.")
    document.add_paragraph("overshot", "List Bullet")
    document.add_paragraph("first", "List Number")
    document.add_paragraph("To be.", "Intense Quote")
    document.add_paragraph("Figure 1: a wheel", "Caption")
    document.add_heading("Deep", 4)
    document.sections[0].header.paragraphs[0].text = "A header"
    document.sections[0].footer.paragraphs[0].text = "Page 1"
    document.save(str(tmp_path / "a.docx"))
    content = read(tmp_path / "a.docx")
    assert shown(content) == [
        ("heading", 1, "Mills of the valley"),
        ("heading", 1, "Water"),
        ("paragraph", 0, "A wheel turns."),
        ("list_item", 0, "overshot"),
        ("list_item", 0, "first"),
        ("quote", 0, "To be."),
        ("caption", 0, "Figure 1: a wheel"),
        ("heading", 4, "Deep"),
    ]
    assert content.title == "Mills of the valley"
    text = "\n".join(block.text for block in content.blocks)
    assert all(text[b.char_start : b.char_end] == b.text for b in content.blocks)


def test_an_outline_level_makes_a_heading_and_unmakes_one(tmp_path: Path) -> None:
    level = "<w:p><w:pPr>{}<w:outlineLvl w:val='{}'/></w:pPr>" + run("Text") + "</w:p>"
    body = level.format("", 2) + level.format("<w:pStyle w:val='Heading1'/>", 9)
    assert shown(read(docx(tmp_path / "a.docx", body))) == [
        ("heading", 3, "Text"),
        ("paragraph", 0, "Text"),
    ]


def test_tables_have_merged_cells_filled_in_and_empty_ones_kept(tmp_path: Path) -> None:
    document = library.Document()
    document.add_paragraph("Table 1: yields", "Caption")
    table = document.add_table(4, 3)
    for row, texts in zip(
        table.rows,
        [("Mill", "2019", "2020"), ("A", "1", ""), ("B", "2", "3"), ("", "4", "5")],
        strict=True,
    ):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    table.cell(2, 0).merge(table.cell(3, 0))
    table.cell(1, 1).merge(table.cell(1, 2))
    document.save(str(tmp_path / "a.docx"))
    (found,) = read(tmp_path / "a.docx").tables
    assert found.caption == "Table 1: yields"
    assert found.header == ("Mill", "2019", "2020")
    assert found.rows == (("A", "1", "1"), ("B", "2", "3"), ("B", "4", "5"))


def test_a_table_around_text_is_text(tmp_path: Path) -> None:
    cell = "<w:tc><w:p>" + run("{}") + "</w:p></w:tc>"
    box = "<w:tbl><w:tr>" + cell.format("left") + cell.format("right") + "</w:tr></w:tbl>"
    nested = f"<w:tbl><w:tr><w:tc>{box}<w:p/></w:tc></w:tr></w:tbl>"
    content = read(docx(tmp_path / "a.docx", box + nested))
    assert [block.text for block in content.blocks] == ["left", "right", "left", "right"]
    assert content.tables == ()


def test_what_hangs_on_a_paragraph_follows_it(tmp_path: Path) -> None:
    box = (
        "<w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><wp:anchor><wps:txbx><w:txbxContent>"
        f"{paragraph('In a box.')}</w:txbxContent></wps:txbx></wp:anchor></w:drawing></mc:Choice>"
        f"<mc:Fallback><w:pict><v:textbox><w:txbxContent>{paragraph('In a box.')}</w:txbxContent></v:textbox></w:pict>"
        "</mc:Fallback></mc:AlternateContent></w:r>"
    )
    picture = "<w:r><w:drawing><wp:inline><wp:docPr id='1' descr='A wheel'/><pic:pic/></wp:inline></w:drawing></w:r>"
    note = "<w:r><w:footnoteReference w:id='2'/></w:r>"
    body = f"<w:p>{run('Before')}{note}{box}{run(' after.')}{picture}</w:p>{paragraph('Next.')}"
    relations = (
        b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="n"'
        b' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"'
        b' Target="footnotes.xml"/></Relationships>'
    )
    parts = {"word/footnotes.xml": NOTES, "word/_rels/document.xml.rels": relations}
    content = read(docx(tmp_path / "a.docx", body, parts))
    assert shown(content) == [
        ("paragraph", 0, "Before after."),
        ("paragraph", 0, "See the miller."),
        ("paragraph", 0, "In a box."),
        ("caption", 0, "A wheel"),
        ("paragraph", 0, "Next."),
    ]
    assert content.notes == ("1 pictures in the document were not read",)


def test_what_a_reader_sees_and_no_more(tmp_path: Path) -> None:
    body = (
        f"<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins>{run('new ')}</w:ins>"
        f"<w:hyperlink>{run('link ')}</w:hyperlink><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        "<w:r><w:instrText>PAGE</w:instrText></w:r><m:oMath><m:r><m:t>x=1</m:t></m:r></m:oMath></w:p>"
        "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj></w:sdtPr>"
        f"<w:sdtContent>{paragraph('Water ... 3')}</w:sdtContent></w:sdt>"
        f"<w:sdt><w:sdtContent>{paragraph('In a control.')}</w:sdtContent></w:sdt>"
    )
    content = read(docx(tmp_path / "a.docx", body))
    assert [block.text for block in content.blocks] == ["new link x=1", "In a control."]
    assert content.notes == ("table of contents left out",)


def test_templates_and_macros_are_read_as_documents(tmp_path: Path) -> None:
    path = docx(tmp_path / "a.docm")
    kinds = path.with_suffix(".zip")
    kinds.write_bytes(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        types = archive.read("[Content_Types].xml")
    plain = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    macro = b"application/vnd.ms-word.document.macroEnabled.main+xml"
    assert plain in types
    rezipped(
        path,
        {"[Content_Types].xml": types.replace(plain, macro), "word/vbaProject.bin": b"\0" * 999},
    )
    assert [block.text for block in read(path).blocks] == ["The mill", "It grinds."]


def test_bombs_and_entities_are_harmless(tmp_path: Path) -> None:
    big = paragraph("x" * 300_000) * 10
    with pytest.raises(LimitError, match=r"limits\.expanded_bytes = 1000000"):
        read(docx(tmp_path / "a.docx", big), expanded_bytes=1_000_000)
    path = docx(tmp_path / "b.docx", paragraph("mill"))
    with zipfile.ZipFile(path) as archive:
        xml = archive.read("word/document.xml")
    laughs = "".join(f"<!ENTITY l{i} '{f'&l{i - 1};' * 10}'>" for i in range(1, 10))
    secret = tmp_path / "secret"
    secret.write_text("CANARY")
    bomb = f"<!DOCTYPE d [<!ENTITY l0 'ha'>{laughs}]>".encode()
    rezipped(path, {"word/document.xml": bomb + xml.replace(b">mill<", b">mill &l9;<")})
    with pytest.raises(CorruptError, match="amplification"):
        read(path)
    lure = f"<!DOCTYPE d [<!ENTITY s SYSTEM '{secret.as_uri()}'>]>".encode()
    rezipped(path, {"word/document.xml": lure + xml.replace(b">mill<", b">mill &s;<")})
    assert [block.text for block in read(path).blocks] == ["mill"]


def test_external_relationships_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.dotx"
    secret.write_text("CANARY")
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relations = "".join(
        f'<Relationship Id="r{n}" Type="{kind}/{name}" Target="{secret.as_uri()}" TargetMode="External"/>'
        for n, name in enumerate(
            ("attachedTemplate", "image", "subDocument", "footnotes", "aFChunk")
        )
    )
    xml = f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}</Relationships>'
    body = paragraph("Words.") + "<w:altChunk r:id='r4'/><w:subDoc r:id='r2'/>"
    content = read(docx(tmp_path / "a.docx", body, {"word/_rels/document.xml.rels": xml.encode()}))
    assert [block.text for block in content.blocks] == ["Words."]


def test_deep_tables_end(tmp_path: Path) -> None:
    deep = "<w:tbl><w:tr><w:tc>" * 60 + paragraph("deep") + "</w:tc></w:tr></w:tbl>" * 60
    assert [block.text for block in read(docx(tmp_path / "a.docx", deep)).blocks] == ["deep"]
    with pytest.raises(CorruptError):
        read(
            docx(
                tmp_path / "a.docx",
                "<w:sdt><w:sdtContent>" * 2000 + "</w:sdtContent></w:sdt>" * 2000,
            )
        )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"word/document.xml": b"<w:document"}, CorruptError),
        (
            {
                "[Content_Types].xml": b"<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>"
            },
            CorruptError,
        ),
        ({"_rels/.rels": b"nothing"}, CorruptError),
    ],
)
def test_damage_is_refused_with_a_reason(
    tmp_path: Path, changes: dict[str, bytes], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"a\.docx"):
        read(docx(tmp_path / "a.docx", changes=changes))


def test_old_and_encrypted_files_are_refused_with_advice(tmp_path: Path) -> None:
    old = compound(tmp_path / "a.doc", "WordDocument")
    assert sniff(old, "doc") == "application/msword"
    with pytest.raises(UnsupportedError, match=r"save it as \.docx"):
        decode(old, "doc", DecodeOptions())
    with pytest.raises(UnsupportedError, match=r"save it as \.pptx"):
        decode(compound(tmp_path / "a.ppt", "PowerPoint Document"), "ppt", DecodeOptions())
    with pytest.raises(EncryptedError, match="password"):
        decode(compound(tmp_path / "a.docx", "EncryptedPackage"), "docx", DecodeOptions())


def test_pictures_are_not_unpacked(tmp_path: Path) -> None:
    Image.new("RGB", (900, 900)).save(tmp_path / "p.bmp")
    document = library.Document()
    document.add_paragraph("Words.")
    document.add_picture(str(tmp_path / "p.bmp"))
    document.save(str(tmp_path / "a.docx"))
    content = read(tmp_path / "a.docx", expanded_bytes=1_000_000)  # the picture alone has more
    assert [block.text for block in content.blocks] == ["Words."]
    assert content.notes == ("1 pictures in the document were not read",)
