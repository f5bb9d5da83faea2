"""What a model's licence allows, as far as its name says: a hint for people, no legal advice."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.space import SpaceContract

_LOG: Final = logging.getLogger("gristmill")
_NOT_COMMERCIAL: Final = re.compile(
    r"(^|[-_ ])nc($|[-_ ])|non-?commercial|research|academic", re.IGNORECASE
)
_CARD: Final = "README.md"


def licence_of(folder: Path) -> str:
    """What the card of a model says in its header, such as ``apache-2.0``; empty if it says nothing."""
    card = folder / _CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    if not text.startswith("---"):
        return ""
    header = text[3:].partition("\n---")[0]
    found = dict(
        re.findall(r"^(license|license_name):[ \t]*[\"']?([^\"'\n]+)", header, re.MULTILINE)
    )
    # ``other`` only says that the name stands beside it.
    name = found.get("license_name", "") if found.get("license") == "other" else ""
    return (name or found.get("license", "")).strip()


def forbids_commercial_use(licence: str) -> bool:
    """Whether the licence's name says that the weights are not for commercial use."""
    return bool(_NOT_COMMERCIAL.search(licence))


def tell(contract: SpaceContract) -> None:
    """Log what must be known of the licence before the vectors are used."""
    warn(f"space {contract.name}", contract.model, contract.licence)


def warn(what: str, model: str, licence: str) -> None:
    """Log that a licence forbids commercial use, if its name says so; `what` is for people."""
    if forbids_commercial_use(licence):
        _LOG.warning(
            "%s: the weights of %s are under %s, which forbids commercial use", what, model, licence
        )
