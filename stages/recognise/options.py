"""What is recognised, and with how many threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.config import Recognition

if TYPE_CHECKING:
    from stages.recognise.speech_configured import SpeechContract


@dataclass(frozen=True, slots=True)
class RecogniseOptions:
    """Options of the recognisers.

    Attributes:
        recognition: Which of them run.
        threads: Compute threads of each.
        speech: The configured speech model; None for one that comes with gristmill, or a folder.
    """

    recognition: Recognition = field(default_factory=Recognition)
    threads: int = 1
    speech: SpeechContract | None = None
