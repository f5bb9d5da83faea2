"""Words beside vectors: exact names and rare words in many languages, through changes, deletion and forgetting."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.diff import diff_snapshots
from flows.index_plan import plan_lake
from flows.inverted import LEXICAL_FORMAT
from flows.manifests import published_manifest
from flows.verify import verify_lake
from flows.wiring import open_retriever
from schemas.config import Config, Indexing
from schemas.errors import ConfigError, IntegrityError
from schemas.manifest import Manifest
from stages.index.snapshot import OpenSnapshot
from stages.index.verify import verify
from tests.integration.mill import Mill

pytestmark = pytest.mark.slow

TEXTS = {
    "policy.txt": "Packages may not ship compiled bytecode in the archive; maintainers clean it before upload.",
    "bug.txt": "The crash in libqux was assigned CVE-2031-48151 and mended in release 4.17.3-rc2 of the library.",
    "other bug.txt": "The crash in libfoo was assigned CVE-2031-48152 and mended in release 4.17.2 of the library.",
    "deutsch.txt": "Die alten Wassermühlen am Bach mahlen seit Jahrhunderten das Korn der Bauern aus den umliegenden"
    " Dörfern, und ihre Mühlräder drehen sich Tag und Nacht, solange der Bach genug Wasser führt.",
    "francais.txt": "Les moulins à vent de la colline moulent le blé depuis des siècles, et leurs ailes blanches se"
    " voient de très loin quand le vent du nord souffle sur les champs de la région.",
    "russkij.txt": "Старые водяные мельницы стоят над рекой уже несколько столетий, и крестьяне из окрестных"
    " деревень до сих пор привозят туда зерно каждую осень после уборки урожая.",
    "zhongwen.txt": "村子里的老水车已经转动了几百年 农民们每年秋天都把收获的谷物送到河边的磨坊去磨成面粉。",
    "bread.txt": "Rye bread rises slowly in a warm kitchen, and the baker turns each loaf twice before noon.",
}
# Alike but for a number: to vectors all the same.
TEXTS |= {
    f"part {number}.txt": f"Drawing QX-{number} shows the bearing of the drive shaft and the screws that hold it."
    for number in range(7000, 7960, 40)
}
QUESTIONS = {
    "QX-7320": "part 7320.txt",
    "the bearing in drawing QX-7880": "part 7880.txt",
    "CVE-2031-48151": "bug.txt",
    "4.17.2": "other bug.txt",
    "Mühlrad": "deutsch.txt",
    "moulins": "francais.txt",
    "мельница": "russkij.txt",
    "水车": "zhongwen.txt",
    "bytecode": "policy.txt",
}


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Mill:
    made = Mill(tmp_path_factory.mktemp("hybrid"))
    for name, text in TEXTS.items():
        made.write(name, text)
    made.ingest()
    made.publish()
    return made


def best(mill: Mill, question: str, mode: str) -> list[str]:
    retriever = open_retriever(mill.lake.url)
    hits = retriever.search(question, k=3, route="text/paragraph", mode=mode).hits
    return [hit.path for hit in hits]


@pytest.mark.parametrize(("question", "path"), QUESTIONS.items())
def test_words_find_exact_names_and_inflected_words_in_their_language(mill, question, path):
    assert best(mill, question, "lexical")[0] == path
    assert best(mill, question, "hybrid")[0] == path


def test_looking_ahead_counts_the_words(mill):
    planned = plan_lake(mill.lake.url, mill.config)
    rows = {index.partition: index.rows for index in planned.indexes if index.space == "minilm"}
    assert {words.partition: words.rows for words in planned.inverted} == rows
    assert {words.what for words in planned.inverted} == {"words"}
    files = {
        f.key: f
        for e in published_manifest(mill.lake.blobs).inverted
        for r in e.segments
        for f in r.files
    }
    stored_bytes = sum(file.size_bytes for file in files.values())
    assert (
        stored_bytes / 4 < sum(words.serve_bytes for words in planned.inverted) < 4 * stored_bytes
    )


def test_memory_that_words_alone_take_is_refused(mill):
    small = mill.config.indexing.model_copy(update={"serve_memory_bytes": 1024})
    with pytest.raises(
        ConfigError, match=r"serve_memory_bytes is 1.00 KiB, and the postings of words"
    ):
        plan_lake(mill.lake.url, mill.config.model_copy(update={"indexing": small}))
    without = small.model_copy(update={"lexical": False})
    planned = plan_lake(mill.lake.url, mill.config.model_copy(update={"indexing": without}))
    assert not planned.inverted
    assert not planned.holds


def test_numbers_that_vectors_cannot_tell_apart_are_found(mill):
    wanted = {path.split()[1][:4]: path for path in TEXTS if path.startswith("part ")}
    found = {
        mode: sum(best(mill, f"Drawing QX-{n}", mode)[0] == path for n, path in wanted.items())
        for mode in ("dense", "hybrid")
    }
    assert found["hybrid"] == len(wanted)
    assert found["dense"] < len(wanted)


def test_what_words_do_not_say_vectors_find(mill):
    question = "baking dough at home"
    assert best(mill, question, "lexical") == []
    assert best(mill, question, "hybrid") == best(mill, question, "dense")
    assert best(mill, question, "hybrid")[0] == "bread.txt"


def test_the_command_takes_a_mode(mill):
    ask = ["search", "CVE-2031-48151", "--lake", mill.lake.url, "--json"]
    found = CliRunner().invoke(app, [*ask, "--mode", "lexical", "--k", "1"])
    assert [hit["path"] for hit in json.loads(found.stdout)["hits"]] == ["bug.txt"]
    refused = CliRunner().invoke(app, [*ask, "--mode", "both"])
    assert isinstance(refused.exception, ConfigError)


def test_filters_hold_for_words(mill):
    retriever = open_retriever(mill.lake.url)
    found = retriever.search("crash", mode="lexical", where=["language = de"]).hits
    assert found == ()
    found = retriever.search("Mühlräder crash", mode="lexical", where=["language = de"]).hits
    assert {hit.path for hit in found} == {"deutsch.txt"}
    assert {hit.path for hit in retriever.search("crash", mode="lexical", acl=["staff"]).hits} == {
        "bug.txt",
        "other bug.txt",
    }


def test_a_snapshot_has_its_words_checked_and_named(mill):
    manifest = published(mill)
    entry = next(e for e in manifest.inverted if e.partition == "text/paragraph")
    assert entry.built_with == LEXICAL_FORMAT
    assert entry.rows == len(TEXTS)
    assert {"de", "fr", "ru", "zh"} <= set(entry.languages)
    assert all(check.passed for check in entry.checks)
    assert Manifest.from_json(manifest.to_json()) == manifest
    verify(manifest, mill.lake.blobs.local_path)


def published(mill: Mill) -> Manifest:
    from flows.manifests import published_manifest

    found = published_manifest(mill.lake.blobs)
    assert found is not None
    return found


def fresh(folder: Path, config: Config | None = None) -> Mill:
    made = Mill(folder, config)
    for name, text in TEXTS.items():
        made.write(name, text)
    made.ingest()
    return made


def test_changes_and_deletions_are_followed_and_files_reused(tmp_path):
    # Small segments that stay: new rows come beside them.
    config = Config(indexing=Indexing(merge_floor_rows=1, deleted_share=1.0))
    mill = fresh(tmp_path, config)
    first = mill.publish()
    mill.write(
        "bug.txt", "The crash in libqux was never assigned a number, says the release manager."
    )
    (mill.corpus / "deutsch.txt").unlink()
    mill.write("new.txt", "The quokka is a small marsupial about the size of a cat.")
    mill.ingest()
    second = mill.publish()

    assert best(mill, "CVE-2031-48151", "lexical")[:1] != ["bug.txt"]
    assert best(mill, "Mühlrad", "lexical") == []
    assert best(mill, "quokka", "lexical") == ["new.txt"]
    assert best(mill, "4.17.2", "hybrid")[0] == "other bug.txt"
    found = diff_snapshots(mill.lake.url, first.snapshot_id, second.snapshot_id)
    words = next(i for i in found.inverted if i.partition == "text/paragraph")
    assert words.rows == (len(TEXTS), len(TEXTS))
    assert words.files_reused > 0
    assert words.files_new > 0
    assert words.files_dropped == 0
    verify(second, mill.lake.blobs.local_path)

    # Statistics are those of the live rows: scores are what an index built at once gives.
    (tmp_path / "anew").mkdir()
    anew = fresh(tmp_path / "anew")
    for path in anew.corpus.iterdir():
        path.unlink()
    for path in mill.corpus.iterdir():
        anew.write(path.name, path.read_text())
    anew.ingest()
    anew.publish()
    for question in ("release manager of the library", "small crash", "水车"):
        ours, theirs = (scores(m, question) for m in (mill, anew))
        assert ours == theirs


def scores(mill: Mill, question: str) -> dict[str, float]:
    retriever = open_retriever(mill.lake.url)
    hits = retriever.search(question, k=10, route="text/paragraph", mode="lexical").hits
    return {hit.text: hit.score for hit in hits}


def test_the_same_texts_give_the_same_files(mill, tmp_path):
    again = fresh(tmp_path).publish()
    ours = [e.served() for e in published(mill).inverted]
    assert [e.served()[2] for e in again.inverted] == [parts[2] for parts in ours]


def test_without_words_nothing_but_vectors_is_published(mill, tmp_path):
    plain = fresh(tmp_path, Config(indexing=Indexing(lexical=False)))
    manifest = plain.publish()
    assert manifest.inverted == ()
    assert '"inverted": []' in manifest.to_json()
    assert best(plain, "CVE-2031-48151", "lexical") == []
    assert best(plain, "rye bread", "hybrid") == best(plain, "rye bread", "dense")
    # Turning words on builds no index anew.
    plain.config = Config()
    with_words = plain.publish()
    assert with_words.indexes == manifest.indexes
    assert len(with_words.inverted) > 0


def test_forgotten_words_are_in_no_vocabulary(tmp_path):
    mill = fresh(tmp_path)
    mill.publish()
    proof = mill.forget("russkij.txt")
    assert proof.found == []
    assert proof.needles["term"] > 10
    for key in mill.lake.blobs.list("snapshots/files"):
        data = mill.lake.blobs.get(key)
        assert "мельниц".encode() not in data
    assert best(mill, "мельница", "lexical") == []
    assert best(mill, "moulins", "lexical") == ["francais.txt"]


def test_damage_to_a_postings_file_is_found(tmp_path):
    mill = fresh(tmp_path)
    manifest = mill.publish()
    ref = manifest.inverted[0].segments[0].files[0]
    path = mill.lake.blobs.local_path(ref.key)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = verify_lake(mill.lake, mill.config, lambda *_: None)
    assert [finding.file for finding in found.findings] == [ref.key]
    path.unlink()
    opened = OpenSnapshot.open(manifest, mill.lake.blobs.local_path)
    with pytest.raises(IntegrityError, match="is missing"):
        opened.inverted(manifest.inverted[0])
    again = mill.publish()
    assert again.snapshot_id == manifest.snapshot_id
    assert path.stat().st_size == ref.size_bytes
