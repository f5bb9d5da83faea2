from pathlib import Path

from flows.listing import hash_files, list_sources
from flows.plan import make_plan
from infra.lake import KnownPath, LakeState

SPACES = ["minilm-1", "conse-1"]


def known_state(folder: Path, fingerprint: str = "fp", outcome: str = "indexed") -> LakeState:
    """The state a lake would have after the folder was ingested."""
    state = LakeState()
    for file, _ in hash_files(list_sources([str(folder)]).files):
        rejected = outcome == "rejected"
        state.paths[file.uri] = KnownPath(
            uri=file.uri,
            root=file.root,
            path=file.path,
            source_id="" if rejected else file.source_id,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            content_hash=file.content_hash,
            outcome=outcome,
            reject_code="corrupt" if rejected else "",
            fingerprint=fingerprint,
            batch="b",
        )
        if not rejected:
            state.units_done[file.source_id] = (fingerprint, "b")
            state.spaces_done.update((file.source_id, space) for space in SPACES)
            state.live_sources.add(file.source_id)
    return state


def plan_of(folder: Path, state: LakeState, spaces=SPACES):
    return make_plan(list_sources([str(folder)]), state, "fp", spaces)


def paths(contents):
    return [[file.path for file in c.files] for c in contents]


def test_a_new_folder_is_decoded_once_for_each_content(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "c.txt").write_text("one")
    plan = plan_of(tmp_path, LakeState())
    assert paths(plan.decode) == [["a.txt", "c.txt"], ["b.txt"]]
    assert plan.found == 3


def test_equal_bytes_under_another_text_suffix_are_another_source(tmp_path: Path):
    (tmp_path / "a.txt").write_text("# one")
    (tmp_path / "a.md").write_text("# one")
    assert len(plan_of(tmp_path, LakeState()).decode) == 2


def test_nothing_to_do_the_second_time(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    plan = plan_of(tmp_path, known_state(tmp_path))
    assert (plan.unchanged, plan.decode, plan.relink, plan.gone) == (1, [], [], [])


def test_a_touched_file_of_equal_content_is_unchanged(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    state = known_state(tmp_path)
    (tmp_path / "a.txt").write_text("one")
    import os

    os.utime(tmp_path / "a.txt", ns=(1, 1))
    assert plan_of(tmp_path, state).unchanged == 1


def test_a_changed_file_is_decoded(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    state = known_state(tmp_path)
    (tmp_path / "a.txt").write_text("other")
    assert paths(plan_of(tmp_path, state).decode) == [["a.txt"]]


def test_a_moved_file_is_only_linked_anew(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    state = known_state(tmp_path)
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    plan = plan_of(tmp_path, state)
    assert paths(plan.relink) == [["b.txt"]]
    assert plan.decode == []
    assert [uri.rpartition("/")[2] for uri in plan.gone] == ["a.txt"]


def test_a_new_space_makes_every_source_incomplete(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    plan = plan_of(tmp_path, known_state(tmp_path), [*SPACES, "other-1"])
    assert paths(plan.decode) == [["a.txt"]]


def test_another_way_of_decoding_makes_every_source_new(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    plan = plan_of(tmp_path, known_state(tmp_path, fingerprint="older"))
    assert paths(plan.decode) == [["a.txt"]]


def test_a_known_reject_is_not_tried_again_until_something_changes(tmp_path: Path):
    (tmp_path / "a.pdf").write_text("broken")
    state = known_state(tmp_path, outcome="rejected")
    plan = plan_of(tmp_path, state)
    assert [(file.path, code) for file, code in plan.known_rejects] == [("a.pdf", "corrupt")]
    assert plan.decode == []
    newer = plan_of(tmp_path, known_state(tmp_path, fingerprint="older", outcome="rejected"))
    assert paths(newer.decode) == [["a.pdf"]]


def test_files_of_another_source_folder_are_not_gone(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    state = known_state(tmp_path / "one")
    assert plan_of(tmp_path / "two", state).gone == []
