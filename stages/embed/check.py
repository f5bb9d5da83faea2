"""Vectors are checked before anyone stores them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import ContractError, VectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import SpaceContract

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


def _refuse(bad: np.ndarray, what: str, contract: SpaceContract) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        raise VectorError(
            f"row {rows[0]} of {bad.size} {what} in space {contract.name} ({rows.size} such rows);"
            " the encoder or its input is broken, look at that input"
        )
