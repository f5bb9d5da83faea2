"""PDFs made with PyMuPDF for the tests of the text layer."""

from __future__ import annotations

import pymupdf

from stages.decode.options import DecodeOptions
from stages.decode.pdf import decode_pdf

LOREM = (
    "The miller opens the sluice at dawn and the wheel begins to turn slowly while the grain runs from the hopper"
    " into the eye of the stone and leaves it as warm flour that is sifted twice before it is filled into sacks."
)
A4 = {"width": 595, "height": 842}


def decode(document, tmp_path, options=None, **save):
    path = tmp_path / "made.pdf"
    document.save(path, **save)
    return decode_pdf(path, "application/pdf", options or DecodeOptions())


def write(page, box, text, **style):
    assert page.insert_textbox(pymupdf.Rect(box), text, **style) >= 0, "the text does not fit"


def write_lines(page, x, y, lines, leading=14, **style):
    """Lines one below the other, from the baseline of the first."""
    for i, line in enumerate(lines):
        page.insert_text((x, y + i * leading), line, **style)


def texts(content, kind=None):
    return [block.text for block in content.blocks if kind in (None, block.kind)]


def with_unicode(document, page, mapping):
    """Replace what the first embedded font of a page says its glyphs are: {first glyph: (last, first character)}."""
    (xref,) = [font[0] for font in page.get_fonts() if font[2] == "Type0"]
    ranges = "\n".join(
        f"<{first:04x}> <{last:04x}> <{char:04x}>" for first, (last, char) in mapping.items()
    )
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Made def /CMapType 2 def\n"
        "1 begincodespacerange <0000> <ffff> endcodespacerange\n"
        f"{len(mapping)} beginbfrange\n{ranges}\nendbfrange\nendcmap end end"
    )
    made = document.get_new_xref()
    document.update_object(made, "<<>>")
    document.update_stream(made, cmap.encode())
    document.xref_set_key(xref, "ToUnicode", f"{made} 0 R")
