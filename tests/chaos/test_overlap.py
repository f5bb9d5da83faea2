"""Four ingests at once over overlapping folders of one lake, while files come, change and go between the rounds."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lake import paths
from tests.chaos.forks import Forks
from tests.integration.mill import Mill

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.long]

ROUNDS = int(os.environ.get("GRISTMILL_CHAOS_ROUNDS", "50"))
SOURCES = [("a", "b"), ("b", "c"), ("c", "a"), (".",)]


def mutate(corpus: Path, rng: random.Random, number: int) -> None:
    """A few files come, change, move and go."""
    for folder in "abc":
        (corpus / folder).mkdir(exist_ok=True)
        for _ in range(3):
            name = corpus / folder / f"{rng.randrange(8)}.txt"
            if name.exists() and rng.random() < 0.4:
                name.unlink()
            else:
                name.write_text(f"Round {number} says {rng.randrange(20)} of the mill.")


def expected(corpus: Path) -> dict[str, str]:
    return {path.as_uri(): path.read_text() for path in corpus.rglob("*.txt")}


@pytest.fixture
def drivers() -> Iterator[list[Forks]]:
    made = [Forks() for _ in SOURCES]
    yield made
    for driver in made:
        driver.close()


def test_nothing_is_lost_and_nothing_is_there_twice(tmp_path, drivers):
    rng = random.Random(1)
    mill = Mill(tmp_path)
    for number in range(ROUNDS):
        mutate(mill.corpus, rng, number)
        for driver, folders in zip(drivers, SOURCES, strict=True):
            driver.send(tmp_path, "ingest", *folders)
        for driver in drivers:
            assert driver.receive()["status"] == 0, number
        texts = expected(mill.corpus)
        state = mill.lake.state()
        assert set(state.paths) == set(texts), number
        rows = mill.lake.live_units(columns=["source_id", "granularity", "text"]).to_pylist()
        paragraphs = [r for r in rows if r["granularity"] == "paragraph"]
        found = {r["source_id"]: r["text"] for r in paragraphs}
        assert len(found) == len(paragraphs) == len(set(texts.values())), number
        assert {uri: found[path.source_id] for uri, path in state.paths.items()} == texts, number
        space = next(key for key in mill.lake.space_keys() if key.startswith("minilm"))
        columns = ["modality", "granularity", "input_hash"]
        vectors = mill.lake.view().all_rows(paths.embeddings(space), columns).to_pylist()
        assert len(vectors) == len({tuple(row.values()) for row in vectors}), number
