"""Documents with known content, made for tests: by the formats' own libraries, or part by part where there is none."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)


def zipped(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """A zip archive; a member named ``mimetype`` is stored, as OpenDocument and EPUB want it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            how = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=how)
    return path


def rezipped(path: Path, changes: Mapping[str, bytes]) -> Path:
    """The archive with some members changed or added, in place."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(path, {**members, **changes})


def epub(
    path: Path,
    chapters: Mapping[str, str],
    title: str = "A Mill",
    extra: Mapping[str, str] | None = None,
) -> Path:
    """An e-book of these chapters (name -> XHTML body), and a page of navigation that is no chapter."""
    items = "".join(
        f'<item id="c{i}" href="{name}" media-type="application/xhtml+xml"/>'
        for i, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        '<manifest><item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
        f"{items}</manifest>"
        f'<spine><itemref idref="nav"/>{spine}</spine></package>'
    )
    pages = {
        f"OEBPS/{name}": f"<?xml version='1.0' encoding='utf-8'?><html xmlns='http://www.w3.org/1999/xhtml'>"
        f"<head><title/></head><body>{body}</body></html>"
        for name, body in {"nav.xhtml": "<p>Contents</p>", **chapters}.items()
    }
    return zipped(
        path,
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OEBPS/book.opf": package,
            **pages,
            **(extra or {}),
        },
    )


def ods(path: Path, rows: str, sheet: str = "Mills") -> Path:
    """A spreadsheet of one sheet with these ``table:table-row`` elements."""
    content = (
        '<?xml version="1.0"?><office:document-content'
        ' xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
        ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
        ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:body><office:spreadsheet>'
        f'<table:table table:name="{sheet}">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    )
    members = {"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": manifest}
    return zipped(path, members)


def ods_row(*cells: str | float, repeated: int = 1) -> str:
    """A row of cells, repeated so many times."""
    shown = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
        if isinstance(cell, str)
        else f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
        for cell in cells
    )
    return f'<table:table-row table:number-rows-repeated="{repeated}">{shown}</table:table-row>'


def compound(path: Path, stream: str, data: bytes = b"") -> Path:
    """A compound file (MS-CFB) with one stream, of the sizes that need no small sectors."""
    data = data.ljust(max(4096, -(-len(data) // 512) * 512), b"\0")
    count = len(data) // 512
    end, free = 0xFFFFFFFE, 0xFFFFFFFF
    fat = [0xFFFFFFFD, end, *range(3, count + 2), end]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack(
        "<HHHHH6xIIIIIIIII", 62, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, end, 0, end, 0
    )
    header += struct.pack("<109I", 0, *[free] * 108)
    directory = _entry("Root Entry", 5, end, 0, child=1) + _entry(stream, 2, 2, len(data))
    table = struct.pack("<128I", *fat, *[free] * (128 - len(fat)))
    path.write_bytes(header + table + directory.ljust(512, b"\0") + data)
    return path


def _entry(name: str, kind: int, start: int, size: int, child: int = 0xFFFFFFFF) -> bytes:
    encoded = name.encode("utf-16-le")
    none = 0xFFFFFFFF
    head = encoded.ljust(64, b"\0") + struct.pack(
        "<HBBIII", len(encoded) + 2, kind, 1, none, none, child
    )
    return head + bytes(36) + struct.pack("<IQ", start, size)


def xls(path: Path, rows: Sequence[Sequence[str | float]], sheet: str = "Mills") -> Path:
    """A workbook of Excel 97 (BIFF8) with one sheet of texts and numbers."""
    cells = b"".join(
        _cell(r, c, value) for r, row in enumerate(rows) for c, value in enumerate(row)
    )
    dimensions = struct.pack("<IIHHH", 0, len(rows), 0, max(map(len, rows)), 0)
    body = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x10, 0, 0, 0, 0)) + _record(
        0x0200, dimensions
    )
    body += cells + _record(0x000A)
    start = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x05, 0, 0, 0, 0))
    name = struct.pack("<BB", len(sheet), 0) + sheet.encode("latin-1")
    offset = len(start) + 4 + 6 + len(name) + 4
    sheets = _record(0x0085, struct.pack("<IBB", offset, 0, 0) + name)
    return compound(path, "Workbook", start + sheets + _record(0x000A) + body)


def _record(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def _cell(row: int, column: int, value: str | float) -> bytes:
    place = struct.pack("<HHH", row, column, 0)
    if isinstance(value, str):
        return _record(0x0204, place + struct.pack("<HB", len(value), 0) + value.encode("latin-1"))
    return _record(0x0203, place + struct.pack("<d", value))


def word_xml(inside: str) -> bytes:
    """A ``word/document.xml`` whose body has this in it; the prefixes are those that Word uses."""
    spaces = {
        "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
        "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
        "pic": "http://schemas.openxmlformats.org/drawingml/2006/picture",
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "v": "urn:schemas-microsoft-com:vml",
    }
    declared = "".join(f' xmlns:{prefix}="{space}"' for prefix, space in spaces.items())
    return f"<w:document{declared}><w:body>{inside}</w:body></w:document>".encode()


def docx(path: Path, body: str | None = None, changes: Mapping[str, bytes] | None = None) -> Path:
    """A Word document as python-docx makes it, with another body or other parts."""
    import docx as library

    document = library.Document()
    document.add_heading("The mill", 1)
    document.add_paragraph("It grinds.")
    file = io.BytesIO()
    document.save(file)
    path.write_bytes(file.getvalue())
    inside = {"word/document.xml": word_xml(body)} if body is not None else {}
    return rezipped(path, {**inside, **(changes or {})})
