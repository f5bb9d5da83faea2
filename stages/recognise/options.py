"""What is recognised, and with how many threads."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.config import Recognition


@dataclass(frozen=True, slots=True)
class RecogniseOptions:
    """Options of the recognisers.

    Attributes:
        recognition: Which of them run.
        threads: Compute threads of each.
    """

    recognition: Recognition = field(default_factory=Recognition)
    threads: int = 1
