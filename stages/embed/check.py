"""Vectors are checked before anyone stores them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import ContractError, VectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import Marked, SpaceContract

# What a unit's embedding may be made of; a page of ColPali has some 1,000 vectors, a text of SPLADE some 200 terms.
_MOST: Final = 1 << 16
NORM_TOLERANCE: Final = 1e-3


def check_vectors(vectors: np.ndarray, contract: SpaceContract) -> None:
    """Hold vectors to their contract.

    Args:
        vectors: float32 [n, dim].
        contract: The space they belong to.

    Raises:
        VectorError: Shape or type is wrong, a value is not finite, or (in a normalised space) a norm is further
            than 1e-3 from 1; the message names the first such row.
    """
    if vectors.ndim != 2 or vectors.shape[1] != contract.dim:
        raise VectorError(
            f"vectors of shape {vectors.shape}, {contract.name} has [n, {contract.dim}]"
        )
    if vectors.dtype != np.float32:
        raise VectorError(f"vectors of type {vectors.dtype}, {contract.name} has float32")
    _refuse(~np.isfinite(vectors).all(axis=1), "has values that are not finite", contract)
    if contract.normalised:
        off = np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1.0) > NORM_TOLERANCE
        _refuse(off, f"has a norm further than {NORM_TOLERANCE} from 1", contract)


def check_stacks(stacks: Sequence[np.ndarray], contract: SpaceContract) -> None:
    """Hold stacks of frames to what an encoder takes: uint8 [n >= 1, frame_size, frame_size, 3] each.

    Raises:
        ContractError: Names the first that is not so.
    """
    side = contract.frame_size
    for i, stack in enumerate(stacks):
        if stack.ndim != 4 or stack.shape[1:] != (side, side, 3) or not len(stack):
            raise ContractError(
                f"stack {i} has shape {stack.shape}, {contract.name} takes [n >= 1, {side}, {side}, 3]"
            )
        if stack.dtype != np.uint8:
            raise ContractError(f"stack {i} is {stack.dtype}, {contract.name} takes uint8")


def check_marked(found: Marked, contract: SpaceContract) -> None:
    """Hold one embedding of many numbers to its contract.

    Args:
        found: Token vectors, or weights of terms.
        contract: The space it belongs to.

    Raises:
        VectorError: Shape or type is wrong, or there are more than 65,536; token vectors: none at all, or as
            :func:`check_vectors`; a sparse vector: a term that is out of range or not in order, a weight that is not
            above 0.
    """
    values, marks = found
    if values.ndim != 2 or marks.shape != values.shape[:1] or marks.dtype != np.int32:
        raise VectorError(
            f"{contract.name}: numbers of shape {values.shape} with marks {marks.dtype} {marks.shape}"
        )
    if len(marks) > _MOST:
        raise VectorError(f"{len(marks)} vectors of one unit in {contract.name}, at most {_MOST}")
    if contract.representation == "tokens":
        if not len(values):
            raise VectorError(f"no vector at all in {contract.name}, a unit has at least one")
        check_vectors(values, contract)
        return
    if values.shape[1] != 1 or values.dtype != np.float32:
        raise VectorError(f"weights of shape {values.shape} and type {values.dtype}")
    _refuse(~(np.isfinite(values[:, 0]) & (values[:, 0] > 0)), "is no weight above 0", contract)
    _refuse((marks < 0) | (marks >= contract.dim), f"is no term below {contract.dim}", contract)
    _refuse(np.diff(marks, prepend=-1) <= 0, "is a term out of order", contract)


def _refuse(bad: np.ndarray, what: str, contract: SpaceContract) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        raise VectorError(
            f"row {rows[0]} of {bad.size} {what} in space {contract.name} ({rows.size} such rows);"
            " the encoder or its input is broken, look at that input"
        )
