"""Asking the encoders for a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.content import SAMPLE_RATE_HZ
from stages.messages import EmbedRequest

if TYPE_CHECKING:
    from flows.desk import Want
    from schemas.engine import Arrays, Session
    from schemas.space import SpaceContract

EMBED: Final = "embed"
_WINDOW_BYTES: Final = 10 * SAMPLE_RATE_HZ * 2  # of what models of sound take at once
CALL_COST: Final = 4_000_000  # of one embed call: four fixed-shape forward passes
_PASS_COST: Final = (
    CALL_COST // 4
)  # an item costs its share, rounded down: a full call has whole passes


def submit_want(
    session: Session, contract: SpaceContract, want: Want, arrays: Arrays | None
) -> None:
    """Ask for the vector of a unit in a space.

    Args:
        session: Where encoders run.
        contract: The space.
        want: The unit, and the key that the vector will come under.
        arrays: What the unit's `pixels_array` counts in.

    Raises:
        ValueError: The space takes pixels, and there are none.
    """
    key = f"{want.key.space}/{want.key.input_hash}"
    if contract.input == "text":
        bucket = contract.bucket(want.tokens)
        rows = max(1, contract.batch_tokens // bucket)
        session.submit(
            EMBED,
            key,
            EmbedRequest(contract.key, want.unit.embedded_text),
            cost=_PASS_COST // rows,
            group=f"{contract.key}/{bucket}",
        )
        return
    if arrays is None or want.unit.pixels_array is None:
        raise ValueError(f"unit {want.unit.unit_id} has a pixels_hash but no pixels")
    frames = arrays.pick(want.unit.pixels_array)
    n_frames = max(1, frames.nbytes // (contract.frame_size**2 * 3))
    session.submit(
        EMBED,
        key,
        EmbedRequest(contract.key),
        arrays=frames,
        cost=_PASS_COST * n_frames // contract.batch_frames,
        group=contract.key,
    )


def submit_sound(session: Session, contract: SpaceContract, want: Want, sound: Arrays) -> None:
    """Ask for the vector of a unit in a space of sounds.

    Args:
        session: Where encoders run.
        contract: The space.
        want: The unit, and the key that the vector will come under.
        sound: Its one array, int16 [n] at 16 kHz.
    """
    windows = -(-sound.nbytes // _WINDOW_BYTES)
    session.submit(
        EMBED,
        f"{want.key.space}/{want.key.input_hash}",
        EmbedRequest(contract.key),
        arrays=sound,
        cost=_PASS_COST * windows // contract.batch_frames,
        group=contract.key,
    )
