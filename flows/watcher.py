"""Who hears how an ingest goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.long_files import LongProgress
    from flows.plan import Plan
    from schemas.balance import Balance
    from schemas.engine import Session


class Watcher(Protocol):
    """Hears what happens, to show it."""

    def started(self, plan: Plan) -> None:
        """The plan is made."""

    def progressed(
        self, balance: Balance, session: Session, long_files: Sequence[LongProgress]
    ) -> None:
        """Something moved."""
