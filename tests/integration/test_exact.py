"""`gristmill exact` over a lake with real vectors, against numpy over the same vectors."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from flows import cli_exact, wiring
from flows.exact import LiveVectors, Question, exact_neighbours
from infra.inline_executor import InlineExecutor
from infra.lake import CommitBatch, Lake, make_batch_id
from schemas.engine import Failure, StageSpec
from schemas.errors import ConfigError, LakeError
from schemas.ids import digest
from schemas.partition import TEXT_PARAGRAPH
from schemas.space import SpaceContract
from schemas.tables import COMPLETIONS, EMBEDDINGS, REJECTS, SOURCES, UNITS
from stages.embed.registry import make_encoder
from stages.index.exact import ExactRequest, answer_exact
from stages.route.evaluate import read_questions

DIM = 8


class Searcher:
    """The part of the index pool that this needs."""

    def setup(self):
        pass

    def process(self, tasks):
        return [answer_exact(task.value, task.arrays) for task in tasks]

    def teardown(self):
        pass


class Broken(Searcher):
    def process(self, tasks):
        return [Failure("oom", "too big") for _ in tasks]


def space(metric="inner_product", name="tiny"):
    return SpaceContract(
        name, name, "none", "1", "0" * 64, DIM, "float32", "text", "mean", metric=metric
    )


def write(lake: Lake, contract: SpaceContract, texts: list[str], vectors: dict[str, np.ndarray]):
    """Every text a unit of one source; equal texts share a vector. A text without vector is a reject."""
    batch = make_batch_id(f"run-{contract.name}", 0)
    source = digest("source", contract.name)
    units, hashes = [], {text: digest("text", text) for text in texts}
    for number, text in enumerate(texts):
        unit = dict.fromkeys(UNITS.names, "") | {
            "modality": "text",
            "granularity": "paragraph",
            "unit_id": digest("unit", str(number), text),
            "source_id": source,
            "text": text,
            "text_hash": hashes[text],
            "acl": [],
        }
        units.append(unit)
    rows = [
        {
            "modality": "text",
            "granularity": "paragraph",
            "input_hash": hashes[text],
            "vector": vector.tolist(),
        }
        for text, vector in vectors.items()
    ]
    found = {"source_id": source, "uri": "u:/a", "size_bytes": 1, "mtime_ns": 1, "notes": []}
    found |= {"outcome": "indexed", "units": len(units)}
    row = {"uri": "", "source_id": source, "fingerprint": "", "seq": 0}
    completions = [
        row | {"kind": "path", "uri": "u:/a"},
        row | {"kind": "units", "fingerprint": "f"},
        row | {"kind": "space", "fingerprint": contract.key},
    ]

    def table(items, schema):
        return pa.Table.from_pylist([item | {"batch": batch} for item in items], schema)

    commit = CommitBatch(
        batch_id=batch,
        sources=table([dict.fromkeys(SOURCES.names, "") | found], SOURCES),
        units=table(units, UNITS),
        embeddings={contract.key: table(rows, EMBEDDINGS)},
        rejects=table([rejected(u) for u in units if u["text"] not in vectors], REJECTS),
        completions=table(completions, COMPLETIONS),
    )
    with lake.writer(f"run-{contract.name}"):
        lake.commit(commit, run_id=f"run-{contract.name}")
    return {unit["unit_id"]: unit["text"] for unit in units}


def rejected(unit):
    row = dict.fromkeys(REJECTS.names, "") | {"source_id": unit["source_id"], "attempts": 1}
    row |= {"unit_id": unit["unit_id"], "retryable": False, "page": None, "second": None}
    return row | {"rejected_at": 0, "code": "bad_vector"}


def truth(units, vectors, query, k, metric="inner_product"):
    """(unit_id, score), nearest first, of equally near ones the lower unit_id."""
    scored = []
    for unit, text in units.items():
        if text in vectors:
            wide = vectors[text].astype(np.float64)
            score = wide @ query if metric == "inner_product" else -((wide - query) ** 2).sum()
            scored.append((-np.float32(score), unit))
    return [(unit, -score) for score, unit in sorted(scored)[:k]]


def corpus(seed=0, n=400):
    """Texts of which many are equal, and one that could not be embedded."""
    rng = np.random.default_rng(seed)
    names = [f"text {i}" for i in range(n // 3)]
    texts = [names[i] for i in rng.integers(0, len(names), n)] + ["lost"]
    vectors = {
        name: rng.normal(size=DIM).astype(np.float32) for name in sorted({*texts} - {"lost"})
    }
    return texts, vectors


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_neighbours_are_those_of_the_definition(tmp_path, metric):
    lake = Lake.open(str(tmp_path / "lake"), create=True)
    texts, vectors = corpus()
    units = write(lake, space(metric), texts, vectors)
    live = LiveVectors(lake.view(), TEXT_PARAGRAPH, space(metric))
    live.require_all()
    assert live.rows == len(texts) - 1
    names, asked = live.sample(20)
    assert len({*names}) == 20
    assert all((asked[i] == vectors[units[name]]).all() for i, name in enumerate(names))
    heard = []
    with InlineExecutor().open([StageSpec("index", Searcher)]) as session:
        found = exact_neighbours(
            live,
            Question(names, asked),
            ExactRequest(7, metric),
            session,
            in_flight_bytes=1,
            progress=lambda done, total: heard.append((done, total)),
        )
    assert heard[-1] == (len(vectors), live.rows)
    assert Counter(found["query"].to_pylist()) == dict.fromkeys(names, 7)
    for name, query in zip(names, asked.astype(np.float64), strict=True):
        mine = found.filter(pa.compute.equal(found["query"], name)).to_pylist()
        expected = truth(units, vectors, query, 7, metric)
        assert [(hit["unit_id"], np.float32(hit["similarity"])) for hit in mine] == expected
        assert [hit["rank"] for hit in mine] == list(range(1, 8))


def test_fewer_rows_than_asked_for_are_all_there_are(tmp_path):
    lake = Lake.open(str(tmp_path / "lake"), create=True)
    units = write(lake, space(), ["a", "a", "b"], {"a": np.ones(DIM), "b": -np.ones(DIM)})
    live = LiveVectors(lake.view(), TEXT_PARAGRAPH, space())
    with InlineExecutor().open([StageSpec("index", Searcher)]) as session:
        asked = Question(["q"], np.ones((1, DIM), np.float32))
        found = exact_neighbours(
            live, asked, ExactRequest(10, "inner_product"), session, in_flight_bytes=1 << 20
        )
    assert [units[u] for u in found["unit_id"].to_pylist()] == ["a", "a", "b"]
    assert found["similarity"].to_pylist() == [8.0, 8.0, -8.0]


def test_a_worker_that_fails_ends_it(tmp_path):
    lake = Lake.open(str(tmp_path / "lake"), create=True)
    write(lake, space(), ["a"], {"a": np.ones(DIM)})
    live = LiveVectors(lake.view(), TEXT_PARAGRAPH, space())
    asked = Question(["q"], np.ones((1, DIM), np.float32))
    with (
        InlineExecutor().open([StageSpec("index", Broken)]) as session,
        pytest.raises(LakeError, match="too big"),
    ):
        exact_neighbours(live, asked, ExactRequest(1, "l2"), session, in_flight_bytes=1 << 20)


@pytest.fixture
def command(monkeypatch):
    """The command line, on an engine without processes."""
    monkeypatch.setattr(wiring, "make_executor", lambda _: InlineExecutor())
    monkeypatch.setattr(wiring, "stage_specs", lambda _: [StageSpec("index", Searcher)])
    app = typer.Typer()
    cli_exact.register(app)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=True)


def test_the_command_asks_with_rows(tmp_path, command, monkeypatch):
    monkeypatch.setattr(wiring, "contracts", lambda _: (space(),))
    lake = tmp_path / "lake"
    texts, vectors = corpus(n=60)
    units = write(Lake.open(str(lake), create=True), space(), texts, vectors)
    result = command("text/paragraph", "--lake", lake, "--rows", 3, "-k", 4, "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert (shown["space"], shown["rows"]) == (space().key, 60)
    assert len(shown["neighbours"]) == 12
    first = shown["neighbours"][0]
    expected = truth(units, vectors, vectors[units[first["query"]]].astype(np.float64), 1)
    assert (first["unit_id"], np.float32(first["similarity"])) == expected[0]
    out = tmp_path / "near.arrow"
    again = command("text/paragraph", "--lake", lake, "--rows", 3, "-k", 4, "--out", out)
    assert again.exit_code == 0, again.output
    assert "12 neighbours in 60 rows" in again.stdout
    assert pa.ipc.open_file(out).read_all().to_pylist() == shown["neighbours"]


@pytest.mark.slow
def test_the_command_asks_in_words(tmp_path, command):
    """With the real encoder: what a question finds first is what answers it."""
    contract = wiring.contracts(wiring_config())[0]
    encoder = make_encoder(contract)
    texts = [
        "The mill wheel turns in the river.",
        "Bread is baked from flour.",
        "Cats sleep a lot.",
    ]
    vectors = dict(zip(texts, encoder.encode(texts), strict=True))
    units = write(Lake.open(str(tmp_path / "lake"), create=True), contract, texts, vectors)
    questions = tmp_path / "questions.jsonl"
    lines = [{"query": "What do bakers make?"}, {"query": "Which [bold] pets are lazy?", "id": 2}]
    questions.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    args = ("text/paragraph", "--lake", tmp_path / "lake", "--queries", questions, "-k", 1)
    result = command(*args, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["neighbours"]
    assert [units[hit["unit_id"]] for hit in found] == texts[1:]
    assert [hit["query"] for hit in found] == [line["query"] for line in lines]
    assert "[bold] pets" in command(*args).stdout


def wiring_config():
    from schemas.config import Config

    return Config()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "one of the two"),
        (("--rows", 1, "--queries", "q.jsonl"), "one of the two"),
        (("--rows", 1, "--space", "other"), "--space other"),
        (("--queries", "missing.jsonl"), "cannot read"),
    ],
)
def test_what_cannot_be_asked_is_said(tmp_path, command, monkeypatch, args, message):
    monkeypatch.setattr(wiring, "contracts", lambda _: (space(),))
    lake = tmp_path / "lake"
    write(Lake.open(str(lake), create=True), space(), ["a"], {"a": np.ones(DIM)})
    result = command("text/paragraph", "--lake", lake, *args)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert isinstance(command("audio/segment", "--lake", lake, "--rows", 1).exception, ConfigError)
    assert isinstance(command("audio", "--lake", lake, "--rows", 1).exception, ConfigError)


def test_of_several_spaces_one_is_chosen(tmp_path, command, monkeypatch):
    spaces = (space(), space(name="other"))
    monkeypatch.setattr(wiring, "contracts", lambda _: spaces)
    lake = Lake.open(str(tmp_path / "lake"), create=True)
    write(lake, spaces[0], ["a"], {"a": np.ones(DIM)})
    add = {"modality": "text", "granularity": "paragraph", "input_hash": digest("text", "a")}
    batch = make_batch_id("more", 0)
    done = {"kind": "space", "uri": "", "source_id": digest("source", "tiny"), "batch": batch}
    vector = {**add, "vector": [2.0] * DIM, "batch": batch}
    commit = CommitBatch(
        batch_id=batch,
        sources=SOURCES.empty_table(),
        units=UNITS.empty_table(),
        embeddings={spaces[1].key: pa.Table.from_pylist([vector], EMBEDDINGS)},
        rejects=REJECTS.empty_table(),
        completions=pa.Table.from_pylist(
            [done | {"fingerprint": spaces[1].key, "seq": 0}], COMPLETIONS
        ),
    )
    with lake.writer("more"):
        lake.commit(commit, run_id="more")
    args = ("text/paragraph", "--lake", lake.url, "--rows", 1, "--json")
    assert "choose one with --space: tiny, other" in str(command(*args).exception)
    found = json.loads(command(*args, "--space", "other").stdout)
    assert found["neighbours"][0]["similarity"] == 4 * DIM


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no questions"),
        ('{"query": 3}', "line 1"),
        ('\n{"text": "a"}', "line 2"),
        ("[", "line 1"),
    ],
)
def test_a_file_without_questions_is_refused(tmp_path, text, message):
    path = tmp_path / "q.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_questions(path)
