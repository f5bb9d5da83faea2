"""Asking the engine's pools and taking their answers, for work where a failure ends everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

    from schemas.engine import Session

EMBED: Final = "embed"
INDEX: Final = "index"
_POLL_S: Final = 1.0

Reply = tuple[str, Any, "tuple[np.ndarray, ...]"]


class Pool:
    """One pool of a session that may still be starting: it is waited for when there is something to do.

    Args:
        session: Gives the running session.
        stage: Name of the pool.
    """

    def __init__(self, session: Callable[[], Session], stage: str) -> None:
        self._session = session
        self._stage = stage

    def submit(
        self, key: str, request: Any, arrays: Sequence[np.ndarray] = (), group: str = ""
    ) -> None:
        """Queue one request with its arrays."""
        session = self._session()
        handle = session.put(arrays) if arrays else None
        session.submit(self._stage, key, request, arrays=handle, group=group)

    def ask(self, key: str, request: Any, arrays: Sequence[np.ndarray] = ()) -> Reply:
        """Submit one request and wait for its answer; nothing else may be under way."""
        self.submit(key, request, arrays)
        (reply,) = self.replies()
        return reply

    def flush(self) -> None:
        """Dispatch what waits for its group to fill."""
        self._session().flush(self._stage)

    def replies(self, *, below: int = 1) -> Iterator[Reply]:
        """(key, value, arrays) of what was submitted, until fewer than `below` requests are under way.

        Raises:
            GateError: A worker could not do its part.
        """
        session = self._session()
        while session.pending(self._stage) >= below:
            for outcome in session.poll(_POLL_S):
                if outcome.failure:
                    raise GateError(
                        f"indexing {outcome.key} failed: {outcome.failure.code}:"
                        f" {outcome.failure.reason}. Nothing was published"
                    )
                arrays = session.fetch(outcome.arrays) if outcome.arrays else ()
                yield outcome.key, outcome.value, arrays

    def ready(self, at_once: int) -> Iterator[Reply]:
        """What is done, after waiting for room: so that no more than `at_once` requests are under way."""
        return self.replies(below=max(1, at_once))
