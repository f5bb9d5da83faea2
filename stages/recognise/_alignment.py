"""From tokens to marks: which letters each token stands for, and where in the sound it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_BROKEN: Final = "\ufffd"
_BLANKS: Final = ("▁", "Ġ", " ")  # as SentencePiece and byte-level BPE write a blank in front
_BYTES_OF_A_LETTER: Final = 4  # in UTF-8, and so the most tokens of one


def pieces(tokenizer: Any, tokens: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """The letters of tokens: (text, first token, last token), a blank in front where a word begins.

    Tokens that only together are a letter are one piece.

    Args:
        tokenizer: Of transformers, on the library tokenizers.
        tokens: Ids of a text, none of them special.
    """
    backend = tokenizer.backend_tokenizer
    held: list[int] = []
    for place, token in enumerate(tokens):
        held.append(token)
        text = backend.decode(held)
        last = place + 1 == len(tokens) or len(held) == _BYTES_OF_A_LETTER
        if text.endswith(_BROKEN) and not last:
            continue
        begins = (backend.id_to_token(held[0]) or "").startswith(_BLANKS)
        text = text.replace(_BROKEN, "")
        if begins and not text.startswith(" "):
            text = " " + text  # SentencePiece leaves the first blank out
        yield text, place + 1 - len(held), place
        held = []


def row_starts(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Dynamic time warping (Sakoe and Chiba 1978): where each row of the cheapest path begins.

    A path goes from the first row and column to the last ones by steps of one row, one column, or both, and costs the
    sum of what it passes.

    Args:
        costs: float64 [n_rows, n_columns], both at least 1.

    Returns:
        int64 [n_rows], ascending: the first column of each row.

    Example:
        >>> row_starts(np.array([[0.0, 0.0, 9.0, 9.0], [9.0, 9.0, 0.0, 0.0]])).tolist()
        [0, 2]
    """
    totals = _totals(costs)
    row, column = costs.shape[0] - 1, costs.shape[1] - 1
    starts = np.zeros(costs.shape[0], dtype=np.int64)
    while row > 0:
        across = totals[row - 1, column - 1] if column else np.inf
        up, back = totals[row - 1, column], totals[row, column - 1] if column else np.inf
        if back < min(across, up):
            column -= 1
            continue
        starts[row] = column
        row, column = (row - 1, column) if up < across else (row - 1, column - 1)
    return starts


def _totals(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the cheapest path to each place costs. A row follows from the one above at once: along it only sums grow."""
    totals = np.empty_like(costs)
    totals[0] = np.cumsum(costs[0])
    for row in range(1, len(costs)):
        above = totals[row - 1]
        entered = np.minimum(above, np.concatenate([[np.inf], above[:-1]]))
        along = np.cumsum(costs[row])
        totals[row] = along + np.minimum.accumulate(entered - along + costs[row])
    return totals
