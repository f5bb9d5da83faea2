"""Passes of fixed shapes, so that what comes of an item does not depend on its company.

A text's own length picks its bucket. Every pass of a bucket has the same number of rows, and every pass over frames the
same number of frames; what is missing is filled up. Sums are then made in one order, whoever else is there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from schemas.space import SpaceContract


# A text is padded to the next of these: 1/32 of its length at most, and 8 tokens where it is short.
_STEPS: Final = ((256, 8), (512, 16), (1024, 32), (2048, 64))
_WIDEST_STEP: Final = 128


class Pass(NamedTuple):
    """One forward pass over texts.

    Attributes:
        members: Positions of its texts.
        rows: Texts that it has room for, at least as many.
        length: Tokens of each row.
    """

    members: list[int]
    rows: int
    length: int


class Shapes(Protocol):
    """What decides the shapes of passes over texts; a :class:`SpaceContract` does."""

    @property
    def batch_tokens(self) -> int:
        """Tokens in one pass."""

    def bucket(self, n_tokens: int) -> int:
        """The length that a text of so many tokens is padded to."""


def buckets(max_tokens: int) -> tuple[int, ...]:
    """Lengths that texts are padded to, ascending, up to the longest."""
    lengths: list[int] = []
    length = 0
    while length < max_tokens:
        length += next((step for limit, step in _STEPS if length < limit), _WIDEST_STEP)
        lengths.append(min(length, max_tokens))
    return tuple(lengths)


def passes(lengths: Sequence[int], shapes: Shapes) -> Iterator[Pass]:
    """The passes for texts of these lengths in tokens: buckets in order, in each the texts in order of arrival."""
    buckets: dict[int, list[int]] = {}
    for position, length in enumerate(lengths):
        buckets.setdefault(shapes.bucket(length), []).append(position)
    for length, members in sorted(buckets.items()):
        rows = max(1, shapes.batch_tokens // length)
        for start in range(0, len(members), rows):
            yield Pass(members[start : start + rows], rows, length)


class Padding(NamedTuple):
    """What fills a row up.

    Attributes:
        token: Its id.
        left: Before the text, as models want it that look at the last token.
    """

    token: int = 0
    left: bool = False


_RIGHT: Final = Padding()


def padded(
    token_ids: Sequence[Sequence[int]], at: Pass, padding: Padding = _RIGHT
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask of a pass, int64 [rows, length] each.

    Args:
        token_ids: Of its members, in their order; longer ones are cut, the last token (the separator) kept.
        at: The pass.
        padding: What fills the rows up. An empty row attends to one token, or it would divide by 0.
    """
    import torch

    ids = torch.full((at.rows, at.length), padding.token, dtype=torch.long)
    mask = torch.zeros((at.rows, at.length), dtype=torch.long)
    mask[:, -1 if padding.left else 0] = 1
    for row, tokens in enumerate(token_ids):
        kept = truncated(tokens, at.length)
        place = slice(at.length - len(kept), None) if padding.left else slice(len(kept))
        ids[row, place] = torch.tensor(kept)
        mask[row, place] = 1
    return ids, mask


def truncated(tokens: Sequence[int], length: int) -> list[int]:
    """At most `length` tokens, the last one (the separator) kept."""
    return list(tokens) if len(tokens) <= length else [*tokens[: length - 1], tokens[-1]]


def frame_passes(count: int, rows: int) -> Iterator[slice]:
    """Ranges of at most `rows` of so many frames (or sounds)."""
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))


def filled(items: Sequence[Any], rows: int) -> list[Any]:
    """As many as a pass has rows: the first one again where some are missing."""
    return [*items, *[items[0]] * (rows - len(items))]


def valid_unicode(text: str) -> str:
    """The text with lone surrogates (from paths that are not UTF-8) as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of norm 1, float32 [n, dim]; a row of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: np.ndarray = (vectors / np.maximum(norms, np.finfo(np.float32).tiny)).astype(np.float32)
    return unit


def means_of(vectors: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Means of runs of rows, float32 [len(counts), dim]: of the first `counts[0]` rows, of the next, and so on.

    Args:
        vectors: float32 [sum of counts, dim].
        counts: Each at least 1.
    """
    means = np.empty((len(counts), vectors.shape[1]), dtype=vectors.dtype)
    for row, (start, end) in enumerate(pairwise(np.cumsum([0, *counts]))):
        means[row] = vectors[start:end].mean(axis=0)
    return means


def space_rows(vectors: np.ndarray, contract: SpaceContract) -> np.ndarray:
    """What a model gave as vectors of a space: its leading dims where some are left out, of norm 1.

    Args:
        vectors: float32 [n, the model's dim].
        contract: Of the space.

    Raises:
        ContractError: They are of another length than the contract's.
    """
    kept = vectors[:, : contract.truncate_dim] if contract.truncate_dim else vectors
    if kept.shape[1] != contract.dim:
        raise ContractError(
            f"{contract.model} gives {vectors.shape[1]} dims, the contract of {contract.name} says {contract.dim}"
        )
    return unit_rows(kept)
