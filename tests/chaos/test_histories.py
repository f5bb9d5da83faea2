"""Random histories of files that come, change, move and go, and of runs, purges and kills, against a model of the lake.

The model is a dictionary: what the lake shows of each path. Work that was killed may have done all it had to a path or
nothing, so until the next look a path has one of two values; whatever else shows is an error.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from infra.lake import paths
from tests.chaos.forks import Forks
from tests.chaos.tally import tally
from tests.integration.mill import Mill

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.long]

HISTORIES = int(os.environ.get("GRISTMILL_CHAOS_HISTORIES", "40"))
STEPS = int(os.environ.get("GRISTMILL_CHAOS_STEPS", "25"))
NAMES = ("a.txt", "b.txt", "c.md", "d.md")
EMPTY = ""  # a file of no bytes is rejected
TEXTS = (EMPTY, *(f"The mill has wheel number {n}." for n in range(4)))
GONE = None
Shown = dict[str, str | None]


class History(RuleBasedStateMachine):
    """Each rule is what a person or a machine does; kills are in half of what works on the lake."""

    forks: ClassVar[Forks]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="gristmill-history-"))
        self.mill = Mill(self.folder)
        self.shown: Shown = {}
        self.embedded: set[str] = set()  # texts whose vectors are in the lake for sure

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(name=st.sampled_from(NAMES), text=st.sampled_from(TEXTS))
    def write(self, name: str, text: str) -> None:
        self.mill.write(name, text)

    @precondition(lambda self: self.on_disk())
    @rule(data=st.data(), other=st.none() | st.sampled_from(NAMES))
    def move_or_delete(self, data: st.DataObject, other: str | None) -> None:
        path = self.mill.corpus / data.draw(st.sampled_from(self.on_disk()))
        if other is None:
            path.unlink()
        else:
            path.rename(self.mill.corpus / other)

    @rule(publish=st.booleans(), number=st.none() | st.integers(0, 60))
    def run(self, publish: bool, number: int | None) -> None:
        there = {name: (self.mill.corpus / name).read_text() for name in self.on_disk()}
        new = set(there.values()) - self.embedded - {EMPTY}
        balance = self.work("run" if publish else "ingest", (), number, there.get)
        if balance is None:
            return
        assert balance["found"] == len(there)
        if not new:
            assert not sum(balance["vectors"].values()), "a text was embedded again"
        self.embedded |= set(there.values()) - {EMPTY}

    @precondition(lambda self: self.forgettable())
    @rule(data=st.data(), purge=st.booleans(), number=st.none() | st.integers(0, 120))
    def forget(self, data: st.DataObject, purge: bool, number: int | None) -> None:
        name = data.draw(st.sampled_from(self.forgettable()))
        self.work(
            "purge" if purge else "hide",
            (name,),
            number,
            lambda path: GONE if path == name else self.shown.get(path),
        )
        if purge:
            self.embedded = set()

    @precondition(lambda self: self.shown)
    @rule(number=st.none() | st.integers(0, 60))
    def collect_garbage(self, number: int | None) -> None:
        self.work("gc", (), number, self.shown.get)
        self.embedded &= set(self.shown.values())

    @invariant()
    def the_lake_shows_what_the_model_says(self) -> None:
        assert self.look() == {name: text for name, text in self.shown.items() if text is not GONE}

    def work(
        self,
        what: str,
        names: tuple[str, ...],
        number: int | None,
        after: Callable[[str], str | None],
    ) -> dict | None:
        """Do it; gives the balance, or None if it was killed. `after` says what a path shows when it is done."""
        wanted: Shown = {name: after(name) for name in NAMES}
        if number is None:
            self.shown = wanted
            return self.forks.work(self.folder, what, *names)["balance"]
        killed = self.forks.kill(self.folder, what, *names, number=number)
        seen = self.look()
        for name in NAMES:
            may_be = {wanted[name]} | ({self.shown.get(name)} if killed else set())
            assert seen.get(name) in may_be, (name, seen.get(name), may_be)
        self.shown = {name: seen.get(name) for name in NAMES}
        if killed:
            tally("random history", "driver, at a named point")
        return None

    def look(self) -> dict[str, str]:
        """What the lake shows of each path, having checked that it shows nothing twice and nothing else."""
        view = self.mill.lake.view()
        state = view.state()
        rows = view.live_units(columns=["source_id", "granularity", "text"]).to_pylist()
        passages = [row for row in rows if row["granularity"] == "paragraph"]
        texts = {row["source_id"]: row["text"] for row in passages}
        assert len(texts) == len(passages), "a passage is there twice"
        rejected = {known.path for known in state.paths.values() if known.outcome == "rejected"}
        assert rejected == {row["path"] for row in view.rejects().to_pylist()}
        live = {
            known.path: texts[known.source_id]
            for known in state.paths.values()
            if known.has_content
        }
        assert set(texts) == state.live_sources
        return live | dict.fromkeys(rejected, EMPTY)

    def on_disk(self) -> list[str]:
        return [name for name in NAMES if (self.mill.corpus / name).exists()]

    def forgettable(self) -> list[str]:
        """Paths that the lake knows anything of, which is what `forget` takes."""
        rows = self.mill.lake.view().all_rows(paths.SOURCES, ["path"])["path"].to_pylist()
        return sorted(set(rows))


@pytest.fixture(autouse=True, scope="module")
def forks() -> Iterator[None]:
    History.forks = Forks()
    yield
    History.forks.close()


TestHistories = History.TestCase
TestHistories.settings = settings(max_examples=HISTORIES, stateful_step_count=STEPS)
