"""PDF by PyMuPDF: text layer, page pictures, figures, tables, and renders for OCR where there is no text layer.

A long file is read in ranges of pages, each by itself, and put together afterwards: only then is it known what repeats
at the heads of its pages, which size of type is that of the body, and where a paragraph goes on over a page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.content import Content
from schemas.errors import CorruptError, LimitError
from stages.decode._mupdf import MUPDF_ERRORS
from stages.decode._pdf_apart import Apart, without_told
from stages.decode._pdf_blocks import Outline, build_blocks
from stages.decode._pdf_open import opened
from stages.decode._pdf_reader import PageReader, Sheet
from stages.decode._pdf_text import PageText, body_size, letters
from stages.decode.layout import join_lines
from stages.placing import with_pages, with_running
from stages.ranges import Piece, Span, counted_on, even_spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from schemas.content import Block, TableData
    from stages.decode.layout import Line
    from stages.decode.options import DecodeOptions

    Arrays = tuple[np.ndarray, ...]

# Of a range: 20 MB of pictures, and 250 MB of renders for OCR if all of it are scans.
_SPAN_PAGES: Final = 128
_TITLE_SCALE: Final = 1.3
_MAX_TITLE_CHARS: Final = 200
_JUNK_TITLE: Final = re.compile(
    r"^(?:untitled|title|document\d*|microsoft (?:word|powerpoint|excel) - .*"
    r"|.*\.(?:docx?|dvi|tex|indd|pptx?|xlsx?|pdf|ps|qxd|fm|eps|txt|odt))$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Beside:
    """What is known of a range of pages beside its content.

    Attributes:
        texts: Of its pages.
        apart: By number of the page, what of its text is told elsewhere.
        outline: Bookmarks of the file, in the range that has the first page.
        stated_title: The title in the file's properties, in the same range.
        is_repaired: The file is damaged.
    """

    texts: tuple[PageText, ...]
    apart: dict[int, Apart]
    outline: Outline = field(default_factory=Outline)
    stated_title: str = ""
    is_repaired: bool = False


def decode_pdf(path: Path, media_type: str, options: DecodeOptions) -> tuple[Content, Arrays]:
    """Decode a PDF. Nothing in it is run and nothing outside of it is opened.

    The picture of a page or region is rendered straight to the model's size: the same as rendering at 144 DPI and
    scaling down by area to within 2 of 255 grey levels on average, for a third of the time. Pages that need OCR are
    rendered at `segmentation.page_dpi`, in grey.

    Args:
        path: The file.
        media_type: ``application/pdf``.
        options: Limits, DPI and picture size.

    Returns:
        Content with blocks, tables, pages and regions, and its arrays: pictures uint8 [1, S, S, 3], renders for
        OCR uint8 [H, W, 1].

    Raises:
        EncryptedError: It needs a password that is not in `options.passwords`.
        CorruptError: It cannot be opened, or not one page can be read.
        LimitError: It has more pages than allowed, or every page is more than allowed.
        NoContentError: It has no pages.
    """
    piece, arrays = read_span(path, media_type, options, Span(1))
    return join(path, media_type, [piece]), arrays


def spans(path: Path, media_type: str, options: DecodeOptions) -> tuple[Span, ...]:
    """Ranges of its pages that can be read apart; none if it is short. Raises as :func:`decode_pdf`."""
    with opened(path, options.limits, options.passwords) as document:
        return even_spans(1, document.page_count, _SPAN_PAGES)


def read_span(
    path: Path, media_type: str, options: DecodeOptions, span: Span
) -> tuple[Piece, Arrays]:
    """Read a range of pages. Its content has no blocks yet. Raises as :func:`decode_pdf`."""
    with opened(path, options.limits, options.passwords) as document:
        reader = PageReader(document, options)
        last = document.page_count if span.end is None else min(span.end - 1, document.page_count)
        sheets = [sheet for n in range(span.first, last + 1) if (sheet := reader.read(n))]
        content = Content(
            media_type,
            tables=tuple(table for sheet in sheets for table in sheet.objects.tables),
            pages=tuple(sheet.content for sheet in sheets),
            regions=tuple(region for sheet in sheets for region in sheet.objects.regions),
            notes=tuple(reader.notes),
            rejects=tuple(reader.rejects),
            doubts=tuple(doubt for sheet in sheets for doubt in sheet.objects.doubts),
        )
        arrays = tuple(reader.store.arrays)
        return Piece(content, len(arrays), _beside(document, span, sheets)), arrays


def join(path: Path, media_type: str, pieces: Sequence[Piece]) -> Content:
    """Put ranges of pages together (see `LongDecoder.join`): here they get their blocks and the file its title."""
    contents = counted_on(pieces)
    rejects = tuple(reject for content in contents for reject in content.rejects)
    if not any(content.pages for content in contents):
        kind = LimitError if rejects[0].code == LimitError.code else CorruptError
        raise kind(f"{path}: none of its pages can be read: {rejects[0].reason}")
    besides: list[_Beside] = [piece.beside for piece in pieces]
    texts = [text for beside in besides for text in beside.texts]
    body_pt = body_size(texts)
    apart = {number: found for beside in besides for number, found in beside.apart.items()}
    outline = next((beside.outline for beside in besides if beside.outline.levels), Outline())
    blocks = build_blocks(texts, outline, body_pt, apart)
    stated = next((beside.stated_title for beside in besides if beside.stated_title), "")
    notes = [note for content in contents for note in content.notes]
    if any(beside.is_repaired for beside in besides):
        notes.append("damaged, repaired while reading")
    return Content(
        media_type=media_type,
        title=stated or _title(texts, body_pt),
        blocks=_with_recognised(blocks, texts, apart, contents),
        tables=tuple(table for content in contents for table in content.tables),
        pages=tuple(page for content in contents for page in content.pages),
        regions=tuple(region for content in contents for region in content.regions),
        notes=tuple(dict.fromkeys(notes)),
        rejects=rejects,
        doubts=tuple(doubt for content in contents for doubt in content.doubts),
    )


def _with_recognised(
    blocks: Sequence[Block],
    texts: Sequence[PageText],
    apart: Mapping[int, Apart],
    contents: Sequence[Content],
) -> tuple[Block, ...]:
    """Blocks as recognition leaves them in a whole file.

    They have those of pages that were read by OCR and text that is no table after all, and no captions that are told by
    tables that were in doubt.
    """
    layers = {text.number: text.text for text in texts}
    pages = [page for content in contents for page in content.pages]
    read: dict[int, list[Block]] = {p.number: [] for p in pages if p.text != layers[p.number]}
    running: list[Block] = []
    for block in (block for content in contents for block in content.blocks):
        read.get(block.page or 0, running).append(block)
    decided: dict[int, list[TableData]] = {}
    for table in (table for content in contents for table in content.tables):
        number = table.page or 0
        if table not in apart[number].tables:
            decided.setdefault(number, []).append(table)
    placed = with_running(without_told(blocks, decided), running)
    return tuple(with_pages(placed, (page.number for page in pages), read))


def _beside(document: Any, span: Span, sheets: Sequence[Sheet]) -> _Beside:
    begins = span.first == 1
    return _Beside(
        tuple(sheet.text for sheet in sheets),
        {
            sheet.text.number: Apart(tuple(sheet.objects.tables), tuple(sheet.objects.elsewhere))
            for sheet in sheets
        },
        _outline(document) if begins else Outline(),
        _stated_title(document) if begins else "",
        bool(document.is_repaired),
    )


def _outline(document: Any) -> Outline:
    try:
        return Outline.of(document.get_toc(simple=True))
    except MUPDF_ERRORS:
        return Outline()  # bookmarks only add levels to headings that type sizes show as well


def _stated_title(document: Any) -> str:
    """The title in the file's properties, if it is one."""
    stated = " ".join(str((document.metadata or {}).get("title") or "").split())
    is_title = letters(stated) >= 3 and not _JUNK_TITLE.match(stated)
    return stated[:_MAX_TITLE_CHARS] if is_title else ""


def _title(texts: Sequence[PageText], body_pt: float) -> str:
    """The largest type on the first page with text."""
    lines: Sequence[Line] = next((text.lines for text in texts if text.groups), ())
    top = max((line.size for line in lines), default=0.0)
    if top < _TITLE_SCALE * body_pt:
        return ""
    largest = [line.text for line in lines if line.size >= 0.95 * top]
    title = join_lines(largest)
    return title if letters(title) >= 3 and len(title) <= _MAX_TITLE_CHARS else ""
