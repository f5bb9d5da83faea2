"""Text into passages (text/paragraph) and parts of the whole (text/document)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from schemas.partition import TEXT_DOCUMENT, TEXT_PARAGRAPH
from schemas.unit import Locator, Unit
from stages.segment._headings import Section, sections
from stages.segment._language import language_of, language_of_content
from stages.segment._sizes import WHOLE, word_sizes
from stages.segment._split import fitting_sentences, pack, pack_evenly
from stages.segment._tokens import token_measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import BBox, Block, Content
    from stages.segment._split import Measure
    from stages.segment.options import SegmentOptions

_LEAST_BUDGET_SHARE: Final = 0.5  # of document_tokens, however long the context is


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch `start`..`end` of the text of block number `block`, and its size: hundredths of a word, or tokens."""

    block: int
    start: int
    end: int
    size: int


def segment_passages(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """Cut text into passages and document parts.

    A passage has at most `paragraph_words` words (in scripts that do not set words apart as many characters as say
    what that many English words say) and never crosses a heading: short neighbours under one heading are packed
    together, long blocks are cut at the ends of sentences. Its context is the title and the path of headings. A
    document part has at most `document_tokens` tokens, context included, headings among its text.

    Args:
        source_id: Identity of the source.
        content: Its blocks, in reading order, are cut.
        arrays: Not used; here because all segmenters are called alike.
        options: Sizes and the token counter.

    Returns:
        Passages and parts in reading order; a passage's parent is the part it begins in. Their language is that of
        their prose, or the document's where there is too little of it.
    """
    del arrays
    blocks = content.blocks
    language = language_of_content(content)
    runs = _document_runs(content, options, language)
    parts = [
        Unit(
            source_id,
            TEXT_DOCUMENT,
            _locator(blocks, run, part=number),
            _text(blocks, run),
            content.title,
            language=_language(blocks, run, language),
        )
        for number, run in enumerate(runs, start=1)
    ]
    starts = [(run[0].block, run[0].start) for run in runs]
    part_ids = [part.unit_id for part in parts]
    passages = []
    most = options.segmentation.paragraph_words * WHOLE
    for section in sections(content.title, blocks):
        for run in _passage_runs(blocks, section, most, language):
            parent = part_ids[max(0, bisect_right(starts, (run[0].block, run[0].start)) - 1)]
            passages.append(
                Unit(
                    source_id,
                    TEXT_PARAGRAPH,
                    _locator(blocks, run),
                    _text(blocks, run),
                    section.context,
                    parent_id=parent,
                    language=_language(blocks, run, language),
                )
            )
    return passages + parts


def _language(blocks: Sequence[Block], run: Sequence[_Piece], fallback: str) -> str:
    prose = (blocks[p.block].text[p.start : p.end] for p in run if blocks[p.block].kind != "code")
    return language_of("\n".join(prose), fallback)


def _passage_runs(
    blocks: Sequence[Block], section: Section, limit: int, language: str
) -> list[list[_Piece]]:
    pieces: list[_Piece] = []
    for number in section.body:
        pieces += _even_pieces(number, blocks[number].text, limit, language)
    return [[pieces[i] for i in run] for run in pack([p.size for p in pieces], limit)]


def _even_pieces(number: int, text: str, limit: int, language: str) -> list[_Piece]:
    """The whole block if it fits, else as few pieces as can be, of about equal size."""
    (size,) = word_sizes([text])
    if size <= limit:
        return [_Piece(number, 0, len(text), size)] if size else []
    (found,) = fitting_sentences([text], limit, word_sizes, language)
    return [
        _Piece(number, found[run[0]][0][0], found[run[-1]][0][1], sum(found[i][1] for i in run))
        for run in pack_evenly([size for _, size in found], limit)
    ]


def _document_runs(content: Content, options: SegmentOptions, language: str) -> list[list[_Piece]]:
    measure, overhead = token_measure(options.count_tokens)
    limit = options.segmentation.document_tokens
    context = sum(measure([content.title])) if content.title else 0
    budget = max(limit - context - overhead, int(limit * _LEAST_BUDGET_SHARE))
    pieces = _sentence_pieces(content.blocks, budget, measure, language)
    runs = [[pieces[i] for i in run] for run in pack([p.size for p in pieces], budget)]
    return _headings_forward(content.blocks, runs, budget)


def _sentence_pieces(
    blocks: Sequence[Block], budget: int, measure: Measure, language: str
) -> list[_Piece]:
    cut = fitting_sentences([block.text for block in blocks], budget, measure, language)
    return [
        _Piece(number, start, end, size)
        for number, found in enumerate(cut)
        for (start, end), size in found
    ]


def _headings_forward(
    blocks: Sequence[Block], runs: list[list[_Piece]], budget: int
) -> list[list[_Piece]]:
    """Move headings at the end of a part to the next one, where what they head is, if they fit there."""
    for run, following in pairwise(runs):
        while (
            len(run) > 1
            and blocks[run[-1].block].kind == "heading"
            and run[-1].size + sum(piece.size for piece in following) <= budget
        ):
            following.insert(0, run.pop())
    return runs


def _text(blocks: Sequence[Block], run: Sequence[_Piece]) -> str:
    """The text of a run: blocks on lines of their own, and inside a block just as it stands there."""
    lines: list[str] = []
    first = 0
    for i, piece in enumerate(run):
        if piece.block != run[first].block:
            first = i
        if i + 1 == len(run) or run[i + 1].block != piece.block:
            lines.append(blocks[piece.block].text[run[first].start : piece.end])
    return "\n".join(lines)


def _locator(blocks: Sequence[Block], run: Sequence[_Piece], part: int | None = None) -> Locator:
    first, last = run[0], run[-1]
    return Locator(
        page=blocks[first.block].page,
        bbox=None if part else _common_box([blocks[piece.block] for piece in run]),
        part=part,
        char_start=_offset(blocks[first.block], first.start),
        char_end=_offset(blocks[last.block], last.end),
    )


def _offset(block: Block, position: int) -> int | None:
    """Offset in the file's text of a position in a block; an estimate where white space was squeezed out of it."""
    if block.char_start is None or block.char_end is None:
        return block.char_start if position == 0 else block.char_end
    return block.char_start + position * (block.char_end - block.char_start) // len(block.text)


def _common_box(blocks: Sequence[Block]) -> BBox | None:
    """The box around blocks of one page; None if there is no box or more than one page."""
    boxes = [block.bbox for block in blocks if block.bbox is not None]
    if len(boxes) < len(blocks) or len({block.page for block in blocks}) > 1:
        return None
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)
