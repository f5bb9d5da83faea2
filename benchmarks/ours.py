"""Gristmill as it runs, with its engine kept up between corpora so that start-up can be told apart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from flows import wiring
from flows.flows import new_run_id
from flows.ingest import Ingest
from flows.listing import list_sources
from flows.plan import make_plan
from flows.progress import ProgressWatcher
from schemas.balance import StageTime
from schemas.config import Config

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from schemas.balance import Balance


class Ours:
    """Plan, decode, recognise, embed and commit corpora into one lake, on one running engine."""

    def __init__(self, lake: Path) -> None:
        self._config = Config()
        self._lake = wiring.open_lake(str(lake), create=True)
        self._session = wiring.make_executor(self._config).open(wiring.stage_specs(self._config))
        self.driver_seconds: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.__exit__(exc_type, exc, traceback)

    def run(self, folder: Path) -> Balance:
        """Ingest one folder; the first call also pays for actors and models."""
        run_id, spaces = new_run_id(), wiring.contracts(self._config)
        before = self._session.stats()
        start = time.perf_counter()
        with self._lake.writer(run_id):
            state = self._lake.state()
            fingerprint = wiring.fingerprint(self._config)
            plan = make_plan(
                list_sources([str(folder)]), state, fingerprint, [space.key for space in spaces]
            )
            planned = time.perf_counter()
            work = Ingest(
                self._lake,
                self._session,
                spaces=spaces,
                fingerprint=fingerprint,
                run_id=run_id,
                engine=self._config.engine,
                watcher=ProgressWatcher(quiet=True),
            )
            balance = work.run(plan, state)
        balance.check()
        end = time.perf_counter()
        self.driver_seconds = {"plan": planned - start, "mill and commit": end - planned}
        for name, now in self._session.stats().items():
            then = before[name]
            balance.stages[name] = StageTime(
                now.items - then.items, now.busy_s - then.busy_s, now.wait_s - then.wait_s
            )
        return balance
