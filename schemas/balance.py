"""The balance sheet of a run: every input is accounted for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from schemas.errors import BalanceError

FileOutcome = Literal["indexed", "reembedded", "resegmented", "redecoded", "duplicate"]


@dataclass(slots=True)
class StageTime:
    """`seconds` is actor time summed over the pool; `items` what it answered."""

    items: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0
    setup_seconds: float = 0.0
    restarts: int = 0


@dataclass(slots=True)
class Balance:
    """found = indexed + reembedded + resegmented + redecoded + unchanged + duplicate + rejected.

    Of the units that a space takes: units = vectors + reused + rejected.

    Attributes:
        found: Files listed.
        indexed: Decoded, embedded and committed in this run.
        reembedded: Embedded in spaces that they lacked, from texts and pixels that the lake keeps, without decoding.
        resegmented: Cut anew from the decoded content that the lake keeps, without decoding.
        redecoded: Decoded again by a reindex, since what it needed of them was not kept.
        unchanged: Known from before, nothing to do.
        duplicate: Same content as another path.
        rejected: By code.
        gone: Known before and no longer there; hidden from the next snapshot.
        kept: Known before and not to be seen now (unreadable, or in a folder that cannot be entered): the lake keeps
            what it has. Those that were listed are among the rejected.
        units: New units by partition.
        vectors: New vectors by ``partition @ space``.
        reused: Units whose content had a vector already, by ``partition @ space``.
        unit_rejects: Units (or parts of files) lost while their file came through, by code.
        kept_bytes: Written to keep pixels and decoded content (`engine.keep_payloads`, `engine.keep_content`).
        stages: Time and items by stage.
        seconds: Wall time of the run.
        peak_memory_bytes: Of the process tree (proportional set size where the system tells it).
    """

    found: int = 0
    indexed: int = 0
    reembedded: int = 0
    resegmented: int = 0
    redecoded: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    kept: int = 0
    units: dict[str, int] = field(default_factory=dict)
    vectors: dict[str, int] = field(default_factory=dict)
    reused: dict[str, int] = field(default_factory=dict)
    unit_rejects: dict[str, int] = field(default_factory=dict)
    kept_bytes: int = 0
    stages: dict[str, StageTime] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_bytes: int = 0

    @property
    def rejected_total(self) -> int:
        """Rejected files over all codes."""
        return sum(self.rejected.values())

    def count(self, outcome: FileOutcome) -> None:
        """One file more with this outcome."""
        setattr(self, outcome, getattr(self, outcome) + 1)

    def check(self) -> None:
        """Raise unless every file found has an outcome.

        Raises:
            BalanceError: The message has the sum that does not hold.
        """
        anew = self.indexed + self.reembedded + self.resegmented + self.redecoded
        outcomes = anew + self.unchanged + self.duplicate + self.rejected_total
        if self.found != outcomes:
            raise BalanceError(
                f"{self.found} files found, but {outcomes} accounted for ({self.indexed} indexed,"
                f" {self.reembedded} embedded again, {self.resegmented} cut anew, {self.redecoded} decoded again,"
                f" {self.unchanged} unchanged, {self.duplicate} duplicate,"
                f" {self.rejected_total} rejected): this is a bug in gristmill, please report it"
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
