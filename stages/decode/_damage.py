"""What a person should know of a medium that did not come through whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from schemas.content import PartialReject
from schemas.errors import CorruptError, CrashError, LimitError

if TYPE_CHECKING:
    from pathlib import Path

    from stages.decode._fflog import MediaInfo
    from stages.decode._ffmpeg import Run

MISSING_S: Final = 1.0  # containers round, and count the encoder's delay and padding
MISSING_SHARE: Final = 0.02
_TOO_LARGE: Final = "exceeds specified max pixel count"  # what ffmpeg says of its option max_pixels


def damage(
    run: Run, info: MediaInfo, decoded_s: float
) -> tuple[tuple[str, ...], tuple[PartialReject, ...]]:
    """Notes and lost parts of a medium of which something came through.

    Args:
        run: How ffmpeg ended.
        info: What the container announced.
        decoded_s: Seconds that came through.
    """
    notes = reported(run, decoded_s)
    if info.estimated or (lost := missing_end(decoded_s, info.duration_s)) is None:
        return notes, ()
    return (*notes, lost.reason), (lost,)


def reported(run: Run, decoded_s: float) -> tuple[str, ...]:
    """What ffmpeg said of a medium, of which so many seconds came through."""
    notes: list[str] = []
    if errors := run.log.errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        notes.append(f"ffmpeg reported: {errors[0]}{more}")
    if run.returncode < 0:
        notes.append(f"ffmpeg died by signal {-run.returncode} at {decoded_s:.1f} s")
    return tuple(notes)


def missing_end(decoded_s: float, announced_s: float | None) -> PartialReject | None:
    """What is lost of a medium that was announced to be longer than what came through; None if it is whole."""
    if announced_s is None:
        return None
    if decoded_s >= announced_s - max(MISSING_S, MISSING_SHARE * announced_s):
        return None
    reason = f"decoded {decoded_s:.1f} s of the {announced_s:.1f} s announced; the rest is damaged or missing"
    return PartialReject("decode", CorruptError.code, reason, second=decoded_s)


def refuse(path: Path, run: Run, what: str) -> NoReturn:
    """Raise for a medium of which nothing came through.

    Raises:
        CrashError: A signal ended ffmpeg.
        LimitError: ffmpeg was told to refuse pictures of this size.
        CorruptError: Otherwise, with what ffmpeg said first.
    """
    if run.returncode < 0:
        raise CrashError(f"{path}: ffmpeg died by signal {-run.returncode}, no {what} was decoded")
    errors = run.log.errors
    if large := next((error for error in errors if _TOO_LARGE in error), ""):
        raise LimitError(f"{path}: a frame has more pixels than limits.pixels: {large}")
    raise CorruptError(f"{path}: no {what} could be decoded: {errors[0] if errors else 'empty'}")
