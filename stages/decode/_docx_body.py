"""The body of a Word document: its elements in reading order, into blocks and tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.content import Block
from schemas.errors import LimitError
from stages.decode._docx_styles import VALUE, Look, Styles
from stages.decode._grid import make_table
from stages.decode._normalise import squeeze, squeeze_lines
from stages.decode._xml import local_name, word

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.config import Limits
    from schemas.content import TableData
    from stages.decode._grid import Row

    Element = Any  # lxml has no types of its own
    Notes = dict[tuple[str, str], Element]  # ("footnote", its number) -> its element

# Around blocks, or around runs: what is in them counts as if they were not there.
_WRAPPERS: Final = frozenset(
    ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag", "hyperlink", "fldSimple", "bdo", "dir", "Choice")
)  # fmt: skip
_TEXTS: Final = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_FLAG_OFF: Final = ("0", "false", "off")
_CONTENTS_GALLERY: Final = ("Table of Contents", "Bibliographies Index")
# Table, Tabelle, Tableau, Tabla, Taulukko, and so on: Hungarian, Russian, Greek, Chinese and Japanese, Korean.
_TABLE_LABELS: Final = (
    *("tab", "taul", "t\u00e1bl"),
    *("\u0442\u0430\u0431\u043b", "\u03c0\u03af\u03bd", "\u8868", "\ud45c"),
)
_MOST_COLUMNS: Final = 1000  # as the tables of HTML; Word itself goes to 63
_LAYOUT_CELL_CHARS: Final = 1000
_MOST_CELLS: Final = (
    20_000_000  # a million rows of one cell that says to span a thousand columns is a bomb
)


@dataclass(slots=True)
class Body:
    """Reads the elements of a body.

    Attributes:
        blocks, tables: What was found.
        title: Text of the first paragraph in the style Title.
        pictures: How many there are.
    """

    path: Path
    limits: Limits
    styles: Styles
    footnotes: Notes
    blocks: list[Block] = field(default_factory=list)
    tables: list[TableData] = field(default_factory=list)
    title: str = ""
    pictures: int = 0
    _remarks: list[str] = field(default_factory=list)
    _after: list[Element | str] = field(default_factory=list)
    _contents: bool = False
    _read_notes: set[tuple[str, str]] = field(default_factory=set)

    def read(self, container: Element) -> None:
        """Read paragraphs, tables and what wraps them."""
        for element in container:
            name = local_name(element)
            if name == "p":
                self._paragraph(element)
            elif name == "tbl":
                self._table(element)
            elif name == "AlternateContent":
                self.read(_alternative(element))
            elif name == "sdt" and _is_contents(element):
                self._contents = True
            elif name in _WRAPPERS:
                self.read(element)

    def remarks(self) -> Iterator[str]:
        """Notes for a person."""
        yield from self._remarks
        if self.pictures:
            yield f"{self.pictures} pictures in the document were not read"
        if self._contents:
            yield "table of contents left out"

    def _paragraph(self, paragraph: Element) -> None:
        look = self.styles.look(paragraph)
        if look.skipped:
            self._contents = True
            return
        waiting, self._after = self._after, []
        text = "".join(self._inline(paragraph))
        text = squeeze_lines(text) if look.kind == "code" else squeeze(text)
        if text:
            self._add(text, look)
        following, self._after = self._after, waiting
        for element in following:  # notes, text boxes and descriptions of pictures in it
            if isinstance(element, str):
                self._add(element, Look("caption"))
            else:
                self.read(element)

    def _add(self, text: str, look: Look) -> None:
        if look.is_title and not self.title:
            self.title = text
        self.blocks.append(Block(look.kind, text, look.level))

    def _inline(self, element: Element) -> Iterator[str]:
        """Text of the runs in an element; what belongs after the paragraph is put aside."""
        for child in element:
            name = local_name(child)
            if name in _WRAPPERS or (name == "r" and not _is_hidden(child)):
                yield from self._inline(child)
            elif name == "AlternateContent":
                yield from self._inline(_alternative(child))
            elif name in ("drawing", "pict", "object"):
                self._drawing(child)
            elif name in ("footnoteReference", "endnoteReference"):
                self._note(name.removesuffix("Reference"), child.get(word("id"), ""))
            else:
                yield _written(child, name)

    def _note(self, kind: str, number: str) -> None:
        note = self.footnotes.get((kind, number))
        if note is not None and (kind, number) not in self._read_notes:
            # Once: notes that refer to each other would never end.
            self._read_notes.add((kind, number))
            self._after.append(note)

    def _drawing(self, drawing: Element) -> None:
        boxes = list(drawing.iter(word("txbxContent")))
        self._after += [box for box in boxes if not _is_inside(box, "txbxContent", drawing)]
        self.pictures += sum(1 for _ in drawing.iter("{*}pic", "{*}imagedata"))
        if not boxes:
            described = {properties.get("descr", "") for properties in drawing.iter("{*}docPr")}
            self._after += sorted(filter(None, map(squeeze, described)))

    def _table(self, table: Element) -> None:
        rows = list(_wrapped(table, "tr"))
        if len(rows) > self.limits.rows + 1:
            raise LimitError(
                f"{self.path} has a table of more than limits.rows = {self.limits.rows} rows"
            )
        cells = [list(_wrapped(row, "tc")) for row in rows]
        header_rows = _header_rows(rows)
        if _is_layout(table, cells, header_rows):
            for row in cells:
                for cell in row:
                    self.read(cell)
            return
        caption = ""
        if self.blocks and _names_a_table(self.blocks[-1]):  # Word puts it above, as a paragraph
            caption = self.blocks.pop().text
        made, notes = make_table(
            caption, self._grid(rows, cells), header_rows or None, self.path, self.limits.rows
        )
        if made:
            self.tables.append(made)
        self._remarks += notes

    def _grid(self, rows: list[Element], cells: list[list[Element]]) -> list[Row]:
        """Texts of the cells; one that spans rows or columns stands in each of them."""
        above: Row = ()
        grid: list[Row] = []
        spread = 0
        for row, row_cells in zip(rows, cells, strict=True):
            texts = [""] * _count(row.find(f"{word('trPr')}/{word('gridBefore')}"), least=0)
            for cell in row_cells:
                text = self._cell_text(cell)
                merge = cell.find(f"{word('tcPr')}/{word('vMerge')}")
                if merge is not None and merge.get(VALUE, "continue") == "continue":
                    text = above[len(texts)] if len(texts) < len(above) else text
                span = _count(cell.find(f"{word('tcPr')}/{word('gridSpan')}"), least=1)
                texts += [text] * min(span, _MOST_COLUMNS - len(texts))
            spread += len(texts)
            if spread > _MOST_CELLS:
                raise LimitError(
                    f"{self.path} has a table that spans more than {_MOST_CELLS} cells"
                )
            above = tuple(texts)
            grid.append(above)
        return grid

    def _cell_text(self, cell: Element) -> str:
        """Its paragraphs on one line; notes and text boxes after the paragraph that they hang on."""
        inner = Body(
            self.path, self.limits, self.styles, self.footnotes, _read_notes=self._read_notes
        )
        inner.read(cell)
        self.pictures += inner.pictures
        return squeeze(" ".join(block.text for block in inner.blocks))


def _written(element: Element, name: str) -> str:
    """Text of an element of a run."""
    if name == "t":
        return element.text or ""
    if name in ("oMath", "oMathPara"):
        return "".join(text.text or "" for text in element.iter("{*}t"))
    if name == "ruby":  # without the reading that is printed above
        bases = element.iter(word("rubyBase"))
        return "".join(text.text or "" for base in bases for text in base.iter(word("t")))
    return _TEXTS.get(name, "")


def _names_a_table(block: Block) -> bool:
    return block.kind == "caption" and block.text.casefold().startswith(_TABLE_LABELS)


def _wrapped(container: Element, name: str) -> Iterator[Element]:
    """Children of this name, also those in content controls and tracked insertions."""
    for child in container:
        child_name = local_name(child)
        if child_name == name:
            yield child
        elif child_name in _WRAPPERS:
            yield from _wrapped(child, name)


def _header_rows(rows: list[Element]) -> int:
    """Leading rows that are repeated on each page."""
    count = 0
    for row in rows:
        flag = row.find(f"{word('trPr')}/{word('tblHeader')}")
        if flag is None or flag.get(VALUE) in _FLAG_OFF:
            break
        count += 1
    return count


def _is_layout(table: Element, cells: list[list[Element]], header_rows: int) -> bool:
    """Whether a table holds no data: tables in it, fewer than two rows of two cells, or pages of text in a cell."""
    if next(table.iterdescendants(word("tbl")), None) is not None:
        return True
    if header_rows:
        return False
    if sum(len(row) > 1 for row in cells) < 2:
        return True
    return any(_text_chars(cell) > _LAYOUT_CELL_CHARS for row in cells for cell in row)


def _text_chars(element: Element) -> int:
    return sum(len(text.text or "") for text in element.iter(word("t")))


def _count(element: Element | None, least: int) -> int:
    value = "" if element is None else element.get(VALUE, "")
    return (
        max(least, min(int(value), _MOST_COLUMNS))
        if value.isascii() and value.isdigit() and len(value) < 6
        else least
    )


def _is_hidden(run: Element) -> bool:
    vanish = run.find(f"{word('rPr')}/{word('vanish')}")
    return vanish is not None and vanish.get(VALUE) not in _FLAG_OFF


def _is_contents(control: Element) -> bool:
    gallery = control.find(f"{word('sdtPr')}/{word('docPartObj')}/{word('docPartGallery')}")
    return gallery is not None and gallery.get(VALUE) in _CONTENTS_GALLERY


def _alternative(element: Element) -> Element:
    """The first of several forms of the same thing: the newest one, where text boxes are WordprocessingML."""
    forms = {local_name(child): child for child in reversed(element)}
    return forms.get("Choice", forms.get("Fallback", ()))


def _is_inside(element: Element, name: str, root: Element) -> bool:
    parent = element.getparent()
    while parent is not None and parent is not root:
        if local_name(parent) == name:
            return True
        parent = parent.getparent()
    return False
