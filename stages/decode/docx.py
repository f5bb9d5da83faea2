"""Word documents by python-docx: headings, paragraphs, lists, tables, footnotes and text boxes in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.content import Content
from schemas.errors import CorruptError
from stages.decode._archive import plain_copy
from stages.decode._docx_body import Body
from stages.decode._docx_styles import Styles
from stages.decode._normalise import squeeze
from stages.decode._officexml import OFFICE_ERRORS, is_text_part, title_of, with_plain_type
from stages.decode._offsets import with_offsets
from stages.decode._xml import parse_xml

if TYPE_CHECKING:
    from pathlib import Path

    from stages.decode._docx_body import Notes
    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

_MAIN: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_NOTE_PARTS: Final = ("footnotes", "endnotes")


def decode_docx(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a Word document, a template or one with macros (which are not even unpacked).

    Headings are paragraphs with an outline level, of their own or by their style. A footnote follows the paragraph that
    refers to it, a text box the paragraph that it is anchored in, a picture's description stands as a caption. Headers,
    footers, deleted and hidden text, and tables of contents are left out. Tables are `TableData`, merged cells
    filled in; one that only lays out text is text. Offsets count in the blocks joined by newlines.

    Raises:
        LimitError: It unpacks to more bytes, or has more rows, than allowed.
        EncryptedError: It needs a password.
        CorruptError: It is no Word document or too damaged to read.
    """
    copy = plain_copy(path, options.limits.expanded_bytes, is_text_part, with_plain_type(_MAIN))
    document = _open(copy, path)
    body = Body(path, options.limits, Styles(document.styles.element), _notes(document, path))
    try:
        body.read(document.element.body)
        title = body.title or title_of(document)
    except OFFICE_ERRORS as error:
        raise CorruptError(f"{path} cannot be read as a Word document: {error!r}") from error
    return Content(
        media_type,
        title=squeeze(title),
        blocks=tuple(with_offsets(body.blocks)),
        tables=tuple(body.tables),
        notes=tuple(body.remarks()),
    ), ()


def _open(copy: Any, path: Path) -> Any:
    import docx

    try:
        document = docx.Document(copy)
        if document.element.body is None:
            raise CorruptError(f"{path} is a Word document without a body")
        _ = document.styles
    except OFFICE_ERRORS as error:
        raise CorruptError(f"{path} cannot be opened as a Word document: {error!r}") from error
    return document


def _notes(document: Any, path: Path) -> Notes:
    """Footnotes and endnotes by the kind of their reference and their number; python-docx does not read them."""
    notes: Notes = {}
    for relation in document.part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if relation.is_external or kind not in _NOTE_PARTS:
            continue
        for note in parse_xml(relation.target_part.blob, path, kind):
            number = next((v for k, v in note.attrib.items() if k.endswith("}id")), "")
            notes[kind[:-1], number] = note
    return notes
