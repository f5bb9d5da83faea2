"""Spaces of sounds, from a recording to an answer: a tiny model of the real class in a real lake."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows import sounds
from flows.maintain import collect
from flows.reindex import Reindexing
from flows.reindex_cost import foresee
from flows.surroundings import new_run_id
from flows.verify import contracts_of, verify_lake
from flows.wiring import contracts, open_retriever
from infra.lake import paths
from infra.lake.invariants import check_invariants
from infra.payloads import Payloads, hash_in
from samples.making_sound import bell, siren, write_sound
from schemas.config import Config, Derivation, Engine, Profile, Recognition, Segmentation
from schemas.derived import is_derived
from schemas.errors import ConfigError, GateError, LimitError
from schemas.partition import AUDIO_SEGMENT
from schemas.space_config import SpaceConfig
from schemas.unit import Locator
from stages.decode import long_audio
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.embed.registry import make_encoder
from stages.embed.resample import resampled
from tests import tiny_models
from tests.integration.mill import Mill
from tests.live_vectors import live_vectors

pytestmark = pytest.mark.slow

HEARS = Recognition(ocr=False, layout=False, speech=False)
CUTS = Segmentation(segment_s=2, tail_s=1)


@pytest.fixture(scope="module")
def spaces(tmp_path_factory) -> dict[str, SpaceConfig]:
    model = str(tiny_models.make("clap", tmp_path_factory.mktemp("model")))
    return {name: SpaceConfig(adapter="sound", model=model) for name in ("ear", "other")}


def config_of(spaces: dict[str, SpaceConfig], *named: str, keeps: bool = False, **more) -> Config:
    return Config(
        recognition=HEARS,
        segmentation=more.pop("segmentation", CUTS),
        profile=Profile(spaces=named),
        spaces=spaces,
        engine=Engine(keep_payloads=keeps, keep_content=more.pop("keep_content", False)),
    )


def filled(folder: Path, config: Config) -> Mill:
    """Two recordings, one of them twice, and a text."""
    mill = Mill(folder, config)
    write_sound(bell(), mill.corpus / "bell.wav")
    write_sound(siren(), mill.corpus / "siren.ogg")
    (mill.corpus / "copy.wav").write_bytes((mill.corpus / "bell.wav").read_bytes())
    mill.write("mill.txt", "The mill has a wheel.")
    mill.ingest()
    return mill


def vectors(mill: Mill, name: str) -> dict[str, list[float]]:
    """Of live segments, by unit_id."""
    (space,) = contracts(mill.config, (name,))
    units, found = live_vectors(mill.lake, space.key, AUDIO_SEGMENT, space.input_column)
    return dict(zip(units["unit_id"].to_pylist(), found.tolist(), strict=True))


def segments(mill: Mill) -> list[dict]:
    return mill.lake.live_units(AUDIO_SEGMENT).to_pylist()


def decoded(mill: Mill, what: Reindexing | None = None) -> int:
    spaces, beside = what.choose(mill.lake, mill.config) if what else ((), ())
    return mill.session((*spaces, *beside)).stats()["decode"].items


def holds(mill: Mill) -> bool:
    return check_invariants(mill.lake.view(), contracts_of(mill.lake, mill.config, {})).holds


@pytest.fixture(scope="module")
def mill(spaces, tmp_path_factory) -> Mill:
    mill = filled(tmp_path_factory.mktemp("mill"), config_of(spaces, "minilm", "ear"))
    mill.publish()
    return mill


def of_own_samples(mill: Mill) -> dict[str, list[float]]:
    """What the vectors of all segments must be, by unit_id: each recording is decoded as a whole."""
    (space,) = contracts(mill.config, ("ear",))
    encoder = make_encoder(space)
    sources = {k.source_id: k.path for k in mill.lake.state().paths.values()}
    expected = {}
    for row in segments(mill):
        file = mill.corpus / sources[row["source_id"]]
        _, (samples,) = decode(file, file.suffix[1:], DecodeOptions())
        place = Locator(**json.loads(row["locator"]))
        own = samples[round(place.start_s * 16_000) : round(place.end_s * 16_000)]
        sound = resampled(own, encoder.sample_rate)
        expected[row["unit_id"]] = encoder.encode([sound])[0].tolist()
    return expected


def test_every_segment_has_the_vector_of_its_own_samples(mill):
    found, expected = vectors(mill, "ear"), of_own_samples(mill)
    assert found.keys() == expected.keys()
    assert len(found) >= 4
    for unit_id, vector in expected.items():
        assert found[unit_id] == pytest.approx(vector, abs=1e-6)


def test_a_recording_that_is_read_in_ranges_is_heard_part_by_part(spaces, tmp_path, monkeypatch):
    monkeypatch.setattr(long_audio, "_SMALL_BYTES", 0)
    monkeypatch.setattr(long_audio, "_SPAN_S", 3)
    monkeypatch.setattr(long_audio, "_REACH_S", 1)
    monkeypatch.setattr(sounds, "_PART_S", 2)
    monkeypatch.setattr(sounds, "_PART_MS", 2000)
    long = Mill(tmp_path, config_of(spaces, "ear"))
    write_sound(np.concatenate([bell(), siren()]), long.corpus / "both.wav")
    items = long.session().stats()["decode"].items
    long.ingest()
    assert long.session().stats()["decode"].items - items > 8  # ranges, their joining, parts
    found, expected = vectors(long, "ear"), of_own_samples(long)
    assert len(found) == len(expected) >= 5
    for unit_id, vector in expected.items():
        assert found[unit_id] == pytest.approx(vector, abs=1e-6)


def test_nothing_but_segments_is_embedded_as_sound(mill):
    (space,) = contracts(mill.config, ("ear",))
    rows = mill.lake.view().all_rows(paths.embeddings(space.key), ["modality", "granularity"])
    assert {tuple(row.values()) for row in rows.to_pylist()} == {("audio", "segment")}
    assert mill.lake.counts()["vectors"][f"audio/segment @ {space.key}"] == len(segments(mill))
    assert holds(mill)


def test_questions_are_answered_by_what_segments_sound_like(mill):
    retriever = open_retriever(mill.lake.url, spaces=["ear"])
    hits = retriever.search("an alarm", 10, route="audio/segment").hits
    assert {hit.partition for hit in hits} == {"audio/segment"}
    assert {hit.path for hit in hits} == {"bell.wav", "siren.ogg"}
    both = open_retriever(mill.lake.url).search("an alarm", 10, route="audio/segment").hits
    assert {hit.path for hit in both} == {"bell.wav", "siren.ogg"}


def test_a_second_run_makes_nothing_anew(mill):
    before = decoded(mill)
    again = mill.ingest()
    assert (again.unchanged, again.indexed, again.vectors) == (4, 0, {})
    assert decoded(mill) == before


def test_units_do_not_depend_on_the_profile(mill, spaces, tmp_path):
    deaf = filled(tmp_path, config_of(spaces, "minilm"))
    assert {row["unit_id"] for row in segments(deaf)} == {r["unit_id"] for r in segments(mill)}


@pytest.mark.parametrize("keeps", [False, True], ids=["decoded", "kept"])
def test_a_lake_without_such_a_space_gets_one(mill, spaces, tmp_path, keeps):
    late = filled(tmp_path, config_of(spaces, "other" if keeps else "minilm", keeps=keeps))
    late.publish()
    kept = {hash_in(key) for key in Payloads(late.lake.blobs).sizes() if "/sound/" in key}
    assert kept == ({row["unit_id"] for row in segments(late)} if keeps else set())
    what = Reindexing("ear")
    before = decoded(late, what)
    cost = foresee(late.lake.url, late.config, what)
    assert (cost.vectors, cost.payload_bytes > 0) == (len(segments(late)), keeps)
    assert cost.decode == (0 if keeps else 2)
    late.reindex(what)
    assert decoded(late, what) - before == (0 if keeps else 2)
    assert vectors(late, "ear") == vectors(mill, "ear")
    assert holds(late)
    if not keeps:  # else there is no space of texts, without which no question is answered
        assert open_retriever(late.lake.url, spaces=["ear"]).search("a bell", 5).hits


def test_a_kept_sound_that_is_damaged_is_found_and_decoded_instead(mill, spaces, tmp_path):
    late = filled(tmp_path, config_of(spaces, "other", keeps=True))
    key = next(key for key in Payloads(late.lake.blobs).sizes() if "/sound/" in key)
    data = bytearray(late.lake.blobs.get(key))
    data[len(data) // 2] ^= 1
    late.lake.blobs.put(key, bytes(data))
    (finding,) = verify_lake(late.lake, late.config, lambda *_: None).findings
    assert (finding.what, finding.file) == ("payload", key)
    late.config = config_of(spaces, "other", "ear", keeps=True)
    late.ingest()
    assert vectors(late, "ear") == vectors(mill, "ear")


def test_what_no_segment_needs_any_more_is_taken(spaces, tmp_path):
    late = filled(tmp_path, config_of(spaces, "ear", keeps=True))
    late.publish()
    (late.corpus / "siren.ogg").unlink()
    late.ingest()
    gone = collect(late.lake.url, late.config, new_run_id(), dry_run=False, note=lambda _: None)
    assert gone.payloads > 0
    left = {row["unit_id"] for row in segments(late)}
    assert (
        {hash_in(key) for key in Payloads(late.lake.blobs).sizes()}
        == left
        == vectors(late, "ear").keys()
    )
    assert holds(late)


def test_a_purge_leaves_no_sound(spaces, tmp_path):
    late = filled(tmp_path, config_of(spaces, "ear", keeps=True))
    late.publish()
    proof = late.forget("siren.ogg")
    assert proof.found == []
    assert {hash_in(key) for key in Payloads(late.lake.blobs).sizes()} == vectors(
        late, "ear"
    ).keys()


def test_segments_that_are_cut_anew_are_heard_anew(spaces, tmp_path):
    late = filled(tmp_path, config_of(spaces, "ear", keep_content=True))
    late.publish()
    finer = Segmentation(segment_s=1.5, tail_s=1)
    late.config = config_of(spaces, "ear", keep_content=True, segmentation=finer)
    balance = late.reindex(Reindexing())
    assert balance.resegmented > 0
    assert vectors(late, "ear").keys() == {row["unit_id"] for row in segments(late)}
    assert holds(late)


def test_a_source_that_is_away_is_not_complete(spaces, tmp_path):
    late = filled(tmp_path, config_of(spaces, "minilm"))
    late.publish()
    (late.corpus / "siren.ogg").rename(tmp_path / "away.ogg")
    (late.corpus / "bell.wav").unlink()  # there is a copy of it
    with pytest.raises(GateError, match=r"1 sources could not be embedded in ear: .*siren\.ogg"):
        late.reindex(Reindexing("ear"))
    (tmp_path / "away.ogg").rename(late.corpus / "siren.ogg")
    late.reindex(Reindexing("ear"))
    assert len(vectors(late, "ear")) == len(segments(late))


def test_what_is_too_long_is_a_reject_of_its_unit(spaces, tmp_path, monkeypatch):
    monkeypatch.setattr("schemas.sound.MAX_SOUND_S", 2)
    late = filled(tmp_path, config_of(spaces, "ear", segmentation=Segmentation(segment_s=4)))
    (space,) = contracts(late.config, ("ear",))
    rejects = late.lake.rejects().to_pylist()
    assert {row["unit_id"] for row in rejects} == {row["unit_id"] for row in segments(late)}
    assert {row["code"] for row in rejects} == {LimitError.code}
    assert "at most 2 s are: set segmentation.segment_s lower" in rejects[0]["reason"]
    assert len(late.lake.view().embedded(space.key)) == 0
    assert holds(late)


def test_what_is_said_of_a_segment_has_no_sound_of_its_own(mill, spaces, tmp_path):
    tells = {"tells": Derivation(adapter="tell", partitions=("audio/segment",))}
    config = config_of(spaces, "minilm", "ear").model_copy(update={"derive": tells})
    told = filled(tmp_path, config)
    said = [row for row in segments(told) if is_derived(json.loads(row["attributes"]))]
    assert len(said) > 0
    assert vectors(told, "ear") == vectors(mill, "ear")
    assert holds(told)
    hits = open_retriever(told.publish() and told.lake.url).search("an alarm", 10).hits
    assert len({hit.unit_id for hit in hits}) == len(hits)


def test_a_file_that_goes_before_it_is_heard_is_read_by_the_next_run(spaces, tmp_path, monkeypatch):
    late = Mill(tmp_path, config_of(spaces, "ear"))
    write_sound(siren(), late.corpus / "siren.ogg")
    mill_text = late.corpus / "mill.txt"
    mill_text.write_text("The mill has a wheel.")

    def gone(self, *asked, ask=sounds.Sounds.ask):
        (late.corpus / "siren.ogg").unlink(missing_ok=True)
        return ask(self, *asked)

    with monkeypatch.context() as patched:
        patched.setattr(sounds.Sounds, "ask", gone)
        lost = late.ingest()
    assert (lost.indexed, lost.rejected) == (1, {"unreadable": 1})
    assert segments(late) == []
    write_sound(siren(), late.corpus / "siren.ogg")
    assert late.ingest().indexed == 1
    assert len(vectors(late, "ear")) == len(segments(late)) > 0
    assert holds(late)


def test_no_other_partition_can_be_asked_for(spaces):
    wrong = {"ear": spaces["ear"].model_copy(update={"partitions": ("video/clip",)})}
    with pytest.raises(ConfigError, match=r"spaces\.ear\.partitions: only audio/segment has sound"):
        contracts(config_of(wrong, "ear"))
