"""Handles to arrays in Ray's object store.

The objects belong to the driver, which asked for them as a second return value of the call; so they outlive the
actor that made them, and go when the last handle goes.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ray

    from infra.executor import ByteAccount


class Block:
    """One object: the arrays of all answers of one call, or of one `put`.

    Args:
        ref: Resolves to a tuple (by answer) of tuples of arrays.
        sizes: Bytes of each array, by answer.
        account: Holds the sum while the block is alive.
    """

    __slots__ = ("__weakref__", "ref", "sizes")

    def __init__(
        self, ref: ray.ObjectRef, sizes: Sequence[tuple[int, ...]], account: ByteAccount
    ) -> None:
        self.ref = ref
        self.sizes = tuple(sizes)
        nbytes = sum(map(sum, self.sizes))
        account.hold(nbytes)
        weakref.finalize(self, account.release, nbytes).atexit = False


class RayArrays:
    """Handle to the arrays of one answer, or to one of them."""

    __slots__ = ("answer", "block", "index")

    def __init__(self, block: Block, answer: int, index: int | None = None) -> None:
        self.block = block
        self.answer = answer
        self.index = index

    @property
    def count(self) -> int:
        """Number of arrays."""
        return len(self._sizes)

    @property
    def nbytes(self) -> int:
        """Their size in bytes."""
        return sum(self._sizes)

    def pick(self, index: int) -> RayArrays:
        """A handle to one of them; it keeps the whole object alive.

        Raises:
            IndexError: There is no such array.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"array {index} of {self.count}")
        return RayArrays(self.block, self.answer, index if self.index is None else self.index)

    @property
    def _sizes(self) -> tuple[int, ...]:
        sizes = self.block.sizes[self.answer]
        return sizes if self.index is None else (sizes[self.index],)
