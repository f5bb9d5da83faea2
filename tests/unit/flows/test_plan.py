import os
from dataclasses import replace
from pathlib import Path

import pytest

from flows.listing import hash_files, list_sources
from flows.plan import check_gone, make_plan
from flows.reindex import plan_cuts
from infra.lake import KnownPath, LakeState
from schemas.errors import GoneError

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
    os.utime(tmp_path / "a.txt", ns=(1, 1))
    plan = plan_of(tmp_path, state)
    assert plan.unchanged == 1
    assert [(f.path, f.mtime_ns, outcome) for f, outcome in plan.refresh] == [
        ("a.txt", 1, "indexed")
    ]


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


def test_a_change_within_a_tick_of_the_clock_is_seen(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text("one")
    info = file.stat()
    state = known_state(tmp_path)
    file.write_text("two")  # as long, and as old
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert paths(plan_of(tmp_path, state).decode) == [["a.txt"]]


def aged(folder: Path, seconds: int = 3600) -> None:
    """Make every file old enough for its time to be trusted."""
    for path in folder.rglob("*"):
        if path.is_file():
            info = path.stat()
            os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns - seconds * 10**9))


def test_files_of_known_size_and_time_are_not_read(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    aged(tmp_path)
    info, state = (tmp_path / "a.txt").stat(), known_state(tmp_path)
    (tmp_path / "a.txt").write_text("two")  # reading it would tell
    os.utime(tmp_path / "a.txt", ns=(info.st_atime_ns, info.st_mtime_ns))
    plan = plan_of(tmp_path, state)
    assert (plan.unchanged, plan.refresh, plan.decode) == (1, [], [])


def test_what_cannot_be_read_any_more_is_kept(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    state = known_state(tmp_path)
    listing = list_sources([str(tmp_path)])
    (tmp_path / "a.txt").unlink()  # between listing and hashing
    plan = make_plan(listing, state, "fp", SPACES)
    ((file, reason, known),) = plan.kept
    assert (file.path, known.outcome) == ("a.txt", "indexed")
    assert "cannot be read" in reason
    assert (plan.gone, plan.unreadable, plan.decode) == ([], [], [])


def test_files_below_a_folder_that_cannot_be_entered_are_kept(tmp_path: Path):
    (tmp_path / "open").mkdir()
    (tmp_path / "shut").mkdir()
    (tmp_path / "open" / "a.txt").write_text("one")
    (tmp_path / "shut" / "b.txt").write_text("two")
    (tmp_path / "shut").with_name("shutter.txt").write_text("three")
    state = known_state(tmp_path)
    (tmp_path / "shutter.txt").unlink()
    listing = list_sources([str(tmp_path)])
    shut = next(f.uri for f in listing.files if f.path == "shut/b.txt").removesuffix("/b.txt")
    blank = replace(listing.files[0], uri=shut, path="shut")
    blocked = replace(
        listing,
        files=tuple(f for f in listing.files if f.path != "shut/b.txt"),
        unreadable=((blank, "a folder that cannot be entered"),),
        blocked=(shut,),
    )
    plan = make_plan(blocked, state, "fp", SPACES)
    assert plan.unseen == 1
    assert [uri.rpartition("/")[2] for uri in plan.gone] == ["shutter.txt"]


@pytest.mark.parametrize(
    ("before", "after", "share", "refused"),
    [
        (40, 21, 0.5, False),
        (40, 19, 0.5, True),
        (40, 19, 1.0, False),
        (12, 2, 0.5, False),  # ten, while any are left
        (13, 2, 0.5, True),
        (5, 0, 0.5, True),  # nothing is there: a mount is missing
        (5, 0, 1.0, False),
        (0, 0, 0.0, False),
    ],
)
def test_a_folder_that_lacks_most_files_is_not_believed(
    tmp_path: Path, before, after, share, refused
):
    for number in range(before):
        (tmp_path / f"{number:02}.txt").write_text(str(number))
    state = known_state(tmp_path)
    for number in range(after, before):
        (tmp_path / f"{number:02}.txt").unlink()
    listing = list_sources([str(tmp_path)])
    plan = make_plan(listing, state, "fp", SPACES)
    if not refused:
        check_gone(plan, listing, state, share)
        return
    with pytest.raises(GoneError, match=f"{before - after} of the {before} files .*accept-gone"):
        check_gone(plan, listing, state, share)


def test_what_was_unreadable_before_is_not_said_again(tmp_path: Path):
    (tmp_path / "loop").symlink_to(tmp_path)
    listing = list_sources([str(tmp_path)])
    ((link, _),) = listing.unreadable
    plan = make_plan(listing, LakeState(), "fp", SPACES)
    assert [(f.path, reason[:16]) for f, reason in plan.unreadable] == [
        ("loop", "a link to a fold")
    ]
    known = KnownPath(
        link.uri, link.root, "loop", "", 0, 0, "", "rejected", "unreadable", "fp", "b"
    )
    plan = make_plan(listing, LakeState(paths={link.uri: known}), "fp", SPACES)
    assert [(f.path, code) for f, code in plan.known_rejects] == [("loop", "unreadable")]
    assert plan.unreadable == []


def test_a_file_is_gone_whichever_overlapping_source_misses_it(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    for name in ("sub/a.txt", "sub/b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
    found_under_sub, found_under_all = known_state(tmp_path / "sub"), known_state(tmp_path)
    (tmp_path / "sub" / "a.txt").unlink()
    for state, listed in ((found_under_sub, tmp_path), (found_under_all, tmp_path / "sub")):
        assert [uri.rpartition("/")[2] for uri in plan_of(listed, state).gone] == ["a.txt"]


def known(folder: Path, **done: str) -> LakeState:
    """What a lake knows of a folder of which some files were cut under another fingerprint."""
    state = known_state(folder)
    for path in state.paths.values():
        name = path.path.partition(".")[0]
        state.units_done[path.source_id] = (done.get(name, "fp"), "b")
    return state


def test_what_is_cut_otherwise_now_is_cut_from_what_is_kept_or_else_decoded(tmp_path: Path):
    for name, text in [("a", "one"), ("b", "two"), ("c", "three"), ("d", "two")]:
        (tmp_path / f"{name}.txt").write_text(text)
    state = known(tmp_path, a="old", b="old", d="old")
    kept = {path.source_id: "key" for path in state.paths.values() if path.path == "a.txt"}
    plan = plan_cuts(state, "fp", kept)
    assert not plan.listed
    assert (plan.found, plan.unchanged) == (4, 1)
    assert paths(recut.contents for recut in plan.recut) == [["a.txt"]]
    assert paths(plan.decode) == [["b.txt", "d.txt"]]


def test_without_a_listing_what_a_repair_withdrew_is_left_to_a_run(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one")
    state = known_state(tmp_path)
    state.units_done.clear()
    assert plan_cuts(state, "fp", {}).found == 0
