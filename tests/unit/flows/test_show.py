import pytest

from flows.show import show_hits, show_rejects
from schemas.search import Hit, Route, SearchResult

LONG = (
    "The ground floor is swept each evening by the youngest apprentice of the house, who also feeds the cat. "
    "Sacks are carried to the hoist before noon. Six leather buckets filled with sand hang on the stairs, "
    "and nobody may move them. The keys are kept by the miller, and a list of visitors by his wife."
)


def result(text: str, routes: int = 2) -> SearchResult:
    hit = Hit(1, 0.9, "page/page", "a b.pdf", "file:///a%20b.pdf", {"page": 2}, text, "u", "s")
    chosen = tuple(Route(f"m/{i}", 1 / routes) for i in range(routes))
    return SearchResult("snap", chosen, (hit,))


def test_a_hit_shows_where_and_the_part_that_was_asked_for(capsys: pytest.CaptureFixture[str]):
    show_hits("where are the leather buckets?", result(LONG))
    shown = capsys.readouterr().out
    assert "a b.pdf  page 2  [page/page]" in shown
    assert "leather buckets filled with sand" in shown
    assert "youngest apprentice" not in shown


def test_few_words_are_shown_whole_and_many_routes_are_counted(capsys: pytest.CaptureFixture[str]):
    show_hits("anything", result("[red]two\n lines[/red]", routes=6))
    shown = capsys.readouterr().out
    assert "[red]two lines[/red]" in shown
    assert "m/3 0.17  and 2 more" in shown


def test_names_and_texts_do_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]):
    bad = "a\x1b[2Jb\rc\u202etxt"
    show_hits("anything", result(bad))
    show_rejects([{"path": bad, "stage": "decode", "code": "empty", "page": None, "reason": bad}])
    shown = capsys.readouterr().out
    assert "a\\x1b[2Jb" in shown
    assert not {"\x1b", "\r", "\u202e"} & set(shown)
