"""What the tasks of one run share: the lake as its writer, the engine, the books."""

from __future__ import annotations

import json
import secrets
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from flows import wiring
from flows.beside import published_beside
from flows.manifests import published_manifest
from flows.memory import TreeWatch
from flows.prefect_settings import prefect_home, prefect_settings
from flows.progress import ProgressWatcher
from flows.space import SpaceWatch
from schemas.balance import Balance, StageTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.lake import Lake
    from schemas.config import Config
    from schemas.engine import Session
    from schemas.space import SpaceContract

    Spaces = tuple[SpaceContract, ...]
    Choose = Callable[[Lake, Config], tuple[Spaces, Spaces]]

T = TypeVar("T")


class Surroundings:
    """What the tasks of one run share. An opaque object to Prefect, so that it looks into none of it.

    The engine starts in the background: what needs no actors goes on meanwhile.

    Args:
        lake: The caller is its writer.
        config: See schemas/config.py.
        watcher: Hears of progress.
        run_id: The run.
        spaces: To embed in.
        beside: That may stay published beside them.
    """

    def __init__(  # a run's whole surroundings, passed once
        self,
        lake: Lake,
        config: Config,
        watcher: ProgressWatcher,
        run_id: str,
        *,
        spaces: tuple[SpaceContract, ...],
        beside: tuple[SpaceContract, ...],
    ) -> None:
        self.lake = lake
        self.config = config
        self.watcher = watcher
        self.run_id = run_id
        self.spaces = spaces
        self.beside = beside
        self.published = published_manifest(lake.blobs)
        self.generators = wiring.generators(config)
        self.fingerprint = wiring.fingerprint(config)
        self.balance = Balance()
        self._starter = ThreadPoolExecutor(1, "engine-start")
        self._session = self._starter.submit(self._open)

    @property
    def session(self) -> Session:
        """The running pools; waits until the engine is up."""
        session = self._session.result()
        # Ray's core puts a crash handler of its own on SIGTERM; this gives it back to the handler Python knows of.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        return session

    def close(self) -> None:
        """End every actor, and the engine if it was started here; what they did goes into the balance."""
        self._starter.shutdown(wait=True)
        if self._session.exception() is None:
            session = self._session.result()
            for name, stats in session.stats().items():
                self.balance.stages[name] = StageTime(
                    stats.items, stats.busy_s, stats.wait_s, stats.setup_s, stats.restarts
                )
            session.__exit__(None, None, None)

    def _open(self) -> Session:
        executor = wiring.make_executor(self.config)
        specs = wiring.stage_specs(self.config, self.lake.url, (*self.spaces, *self.beside))
        return executor.open(specs).__enter__()


def of_profile(lake: Lake, config: Config) -> tuple[Spaces, Spaces]:
    """Embed in the spaces of the profile; what is published besides may stay."""
    spaces = wiring.contracts(config)
    return spaces, published_beside(lake, spaces)


def new_run_id() -> str:
    """Unique, and of use to people: ``20261121T093000-1f2e3d4c``. Nothing relies on its order: clocks jump."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def in_surroundings(
    command: str,
    lake_url: str,
    config: Config,
    quiet: bool,
    flow_of: Callable[[Surroundings], T],
    choose: Choose = of_profile,
) -> tuple[T, Surroundings]:
    """Run a flow as the lake's one writer, with the engine up; record the run whatever comes of it.

    Args:
        command: Its name, for the record.
        lake_url: The lake.
        config: See schemas/config.py.
        quiet: Show no progress.
        flow_of: What to do.
        choose: Gives the spaces to embed in, and those that may stay published beside them.
    """
    lake = wiring.open_lake(lake_url, create=command in ("run", "ingest"))
    run_id, started, started_s = new_run_id(), datetime.now(UTC), time.monotonic()
    watcher = ProgressWatcher(quiet=quiet)
    with (
        SpaceWatch(lake_url, prefect_home()),
        lake.writer(
            run_id,
            wait_s=config.runs.wait_s,
            on_wait=lambda holder: watcher.note(f"waiting for {holder} to let go of {lake.url}"),
        ),
        TreeWatch() as memory,
    ):
        spaces, beside = choose(lake, config)
        lake.spaces.register(spaces)
        around = Surroundings(lake, config, watcher, run_id, spaces=spaces, beside=beside)
        succeeded = False
        try:
            with prefect_settings():
                result = flow_of(around)
            succeeded = True
        finally:
            around.close()
            around.balance.seconds = time.monotonic() - started_s
            around.balance.peak_memory_bytes = memory.used.tree_bytes
            _record(around, command, started, succeeded)
    return result, around


def _record(around: Surroundings, command: str, started: datetime, succeeded: bool) -> None:
    around.lake.record_run(
        {
            "run_id": around.run_id,
            "command": command,
            "started_at": started,
            "finished_at": started + timedelta(seconds=around.balance.seconds),
            "succeeded": succeeded,
            "config": around.config.model_dump_json(),
            "balance": json.dumps(around.balance.as_dict()),
        }
    )
