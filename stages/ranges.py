"""Long files are read in ranges, each by itself and by any process, and put together afterwards.

So a file of 3,000 pages or ten hours takes no more memory in a decoding process than one range of it does, all
processors work on it, one that dies costs one range, and a person sees how far it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, Protocol

from schemas.content import PartialReject
from stages.content_arrays import shifted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from schemas.content import Content
    from schemas.engine import Failure
    from stages.decode.options import DecodeOptions


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a long file, counted in what its decoder counts: pages (1-based), seconds.

    Attributes:
        first: Where it begins.
        end: Where it ends, exclusive; None for the end of the file.
        of: In how many the file is read. What the file may cost as a whole is shared among them evenly.
        unit: What is counted.
    """

    first: int
    end: int | None = None
    of: int = 1
    unit: Literal["page", "second"] = "page"

    def lost(self, failure: Failure) -> PartialReject:
        """What is to be said if it could not be read."""
        end = "to the end" if self.end is None else f"up to {self.end}"
        return PartialReject(
            "decode",
            failure.code,
            f"from {self.unit} {self.first} {end}: {failure.reason}",
            page=self.first if self.unit == "page" else None,
            second=float(self.first) if self.unit == "second" else None,
            retryable=failure.retryable,
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """What was read of a range.

    Attributes:
        content: What was found in it; its indices count in its own arrays.
        n_arrays: How many those are.
        beside: What the decoder needs to put pieces together, and nobody else; picklable, without arrays.
        kept_bytes: What was written of its pictures to be kept.
    """

    content: Content
    n_arrays: int = 0
    beside: Any = None
    kept_bytes: int = 0


class LongDecoder(Protocol):
    """A decoder that can read a file in ranges: a module with these functions."""

    def spans(self, path: Path, media_type: str, options: DecodeOptions) -> tuple[Span, ...]:
        """Ranges of a file; empty if it is short enough to be decoded at once. Raises as the decoder."""

    def read_span(
        self, path: Path, media_type: str, options: DecodeOptions, span: Span
    ) -> tuple[Piece, tuple[np.ndarray, ...]]:
        """Read a range, which may turn out to be empty. Raises as the decoder."""

    def join(self, path: Path, media_type: str, pieces: Sequence[Piece]) -> Content:
        """Put pieces together, whether they were recognised already or not.

        Args:
            path: The file, for messages; it is not opened.
            media_type: Of the file.
            pieces: In order; one that was lost is missing.

        Returns:
            What decoding the whole file would have given; its indices count in the arrays of all pieces, one piece
            after the other.

        Raises:
            SourceError: There is nothing in them.
        """


def counted_on(pieces: Sequence[Piece]) -> list[Content]:
    """Contents of pieces with their indices counted in the arrays of all, one piece after the other."""
    ends = accumulate(piece.n_arrays for piece in pieces)
    return [
        shifted(piece.content, end - piece.n_arrays)
        for piece, end in zip(pieces, ends, strict=True)
    ]


def even_spans(
    first: int, last: int, size: int, unit: Literal["page", "second"] = "page"
) -> tuple[Span, ...]:
    """Ranges of about `size` from `first` to `last`, both inclusive; none if one would do.

    Example:
        >>> [(span.first, span.end) for span in even_spans(1, 10, 4)]
        [(1, 6), (6, None)]
        >>> even_spans(1, 5, 4)
        ()
    """
    total = last - first + 1
    count = round(total / size)
    if count < 2:
        return ()
    starts = [first + total * i // count for i in range(count)]
    return tuple(
        Span(start, end, count, unit)
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    )
