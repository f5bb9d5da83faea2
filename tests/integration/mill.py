"""A lake, and what the flows do to it, with real stages, in this process."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from flows import wiring
from flows.beside import complete
from flows.build import Before, SnapshotBuilder
from flows.forget import Proof, begin, find_target, hide, prepare, purge
from flows.ingest import Ingest
from flows.kept import spare_decoding, spare_recutting
from flows.listing import list_sources
from flows.plan import Plan, choose_rejects, make_plan, make_retry_plan
from flows.progress import ProgressWatcher
from flows.reindex import Reindexing, require_complete
from flows.surroundings import new_run_id
from infra import pointer
from infra.inline_executor import InlineExecutor
from infra.lake import Lake, LakeState
from schemas.balance import Balance
from schemas.config import Config, Engine
from schemas.engine import Session
from schemas.manifest import Manifest
from schemas.space import SpaceContract

EACH_ALONE = Config(engine=Engine(commit_rows=1))  # every source is a batch of its own


@cache
def session_of(
    config: Config, lake_url: str = "memory://", beside: tuple[SpaceContract, ...] = ()
) -> Session:
    """Running stages; loading their models takes longer than most of what is done with them here."""
    return InlineExecutor().open(wiring.stage_specs(config, lake_url, beside))


class Mill:
    """A lake, and ingestion into it."""

    def __init__(self, folder: Path, config: Config | None = None) -> None:
        self.corpus = folder / "corpus"
        self.corpus.mkdir(exist_ok=True)
        self.sources = [str(self.corpus)]
        self.lake = Lake.open(str(folder / "lake"), create=True)
        self.config = config or Config()

    @staticmethod
    def spaces_of(config: Config) -> tuple[SpaceContract, ...]:
        """What everything is embedded in."""
        return wiring.contracts(config)

    def write(self, name: str, text: str) -> None:
        (self.corpus / name).write_text(text)

    def ingest(self) -> Balance:
        return self.work(self.listed)

    def retry(self, *names: str) -> Balance:
        return self.work(lambda state: make_retry_plan(self.chosen(names), state))

    def chosen(self, names: tuple[str, ...]) -> list:
        return choose_rejects(self.lake.rejects().to_pylist(), names, ())

    def listed(self, state: LakeState) -> Plan:
        spaces = [space.key for space in self.spaces_of(self.config)]
        cut = wiring.fingerprint(self.config)
        generators = wiring.generators(self.config)
        keys = [generator.key for generator in generators]
        plan = make_plan(list_sources(self.sources), state, cut, spaces, keys)
        spare_decoding(plan, self.lake, state, cut, self.spaces_of(self.config), generators)
        spare_recutting(plan, wiring.kept_contents(self.lake, self.config).kept())
        return plan

    def session(self, beside: tuple[SpaceContract, ...] = ()) -> Session:
        """Shared with other mills, unless something is kept."""
        keeps = self.config.engine.keep_payloads or self.config.engine.keep_content
        return session_of(self.config, self.lake.url if keeps else "memory://", beside)

    def reindex(self, what: Reindexing) -> Balance:
        """As `gristmill reindex`, on the inline executor; publishes what is complete."""
        spaces, beside = what.choose(self.lake, self.config)
        balance = self.work(
            lambda state: what.plan(self.lake, state, self.config, spaces), spaces, beside
        )
        if what.space:
            require_complete(self.lake, spaces[0])
        if what.publish:
            self.publish(spaces=(*spaces, *complete(self.lake.view(), beside, print)))
        return balance

    def work(
        self,
        planner: Callable[[LakeState], Plan],
        spaces: tuple[SpaceContract, ...] = (),
        beside: tuple[SpaceContract, ...] = (),
    ) -> Balance:
        run_id = new_run_id()
        session = self.session((*spaces, *beside))
        spaces = spaces or self.spaces_of(self.config)
        with self.lake.writer(run_id, wait_s=600):
            self.lake.spaces.register(spaces)
            state = self.lake.state()
            plan = planner(state)
            work = Ingest(
                self.lake,
                session,
                spaces=spaces,
                fingerprint=wiring.fingerprint(self.config),
                run_id=run_id,
                engine=self.config.engine,
                watcher=ProgressWatcher(quiet=True),
                generators=wiring.generators(self.config),
            )
            balance = work.run(plan, state)
        balance.check()
        return balance

    def publish(self, *, expunge: bool = False, spaces: tuple[SpaceContract, ...] = ()) -> Manifest:
        run_id, blobs = new_run_id(), self.lake.blobs
        session = self.session(spaces)
        spaces = spaces or self.spaces_of(self.config)
        with self.lake.writer(run_id):
            builder = SnapshotBuilder(
                self.lake,
                lambda: session,
                spaces,
                self.config.indexing,
                2,
                Before.of(blobs, expunge=expunge),
            )
            built = [builder.build_index(*place) for place in builder.places()]
            manifest = builder.finish(run_id, [entry for entry in built if entry])
        pointer.publish(blobs, manifest.snapshot_id, run_id=run_id, reason="test")
        return manifest

    def hide(self, *names: str) -> None:
        """As `gristmill forget`."""
        run_id = new_run_id()
        with self.lake.writer(run_id):
            hide(self.lake, find_target(self.lake.view(), names), run_id)

    def forget(self, *names: str) -> Proof:
        """As `gristmill forget --purge`, on the inline executor."""
        target = prepare(self.lake, names, even_protected=False)
        run_id = new_run_id()
        with self.lake.writer(run_id):
            begin(self.lake, target, run_id)
        manifest = self.publish(expunge=True) if self.lake.counts()["units"] else None
        with self.lake.writer(f"{run_id}-purge"):
            return purge(self.lake, target, manifest.snapshot_id if manifest else None)

    def live(self) -> dict[str, list[str]]:
        """Text of the live passages by path."""
        names = {k.source_id: k.path for k in self.lake.state().paths.values() if k.source_id}
        rows = self.lake.live_units(columns=["source_id", "granularity", "text"]).to_pylist()
        found: dict[str, list[str]] = {}
        for row in rows:
            if row["granularity"] == "paragraph":
                found.setdefault(names[row["source_id"]], []).append(row["text"])
        return found
