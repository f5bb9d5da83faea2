import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.lexical.words import LONGEST_WORD, normalised, words


def texts(text, **how):
    return [word.text for word in words(text, **how)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The mill wheel, turning.", ["the", "mill", "wheel", "turning"]),
        ("apt-get 1.2.3", ["apt", "get", "apt-get", "1", "2", "3", "1.2.3"]),
        (
            "/etc/apt/sources.list",
            ["etc", "apt", "sources", "list", "sources.list", "etc/apt/sources.list"],
        ),
        ("snake_case C++ C#", ["snake", "case", "snake_case", "c", "c++", "c", "c#"]),
        ("me@a.org", ["me", "a", "org", "a.org", "me@a.org"]),
        ("CVE-2024-1234", ["cve", "2024", "1234", "cve-2024-1234"]),
        ("l'homme don't", ["l", "homme", "don", "t"]),
        ("mill... -- wheel", ["mill", "wheel"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowels are marks
        ("Straße \uff26\uff35\uff2c\uff2c \ufb01ne", ["strasse", "full", "fine"]),
        ("co\u00adoperate zero\u200bwidth", ["cooperate", "zerowidth"]),
        ("", []),
        ("...", []),
    ],
)
def test_a_text_is_cut_into_words(text, found):
    assert texts(text) == found


def test_scripts_without_spaces_are_cut_into_characters_and_pairs():
    assert texts("水車小屋") == ["水", "車", "小", "屋", "水車", "車小", "小屋"]
    assert texts("GNU水車2") == ["gnu", "水", "車", "水車", "2"]
    assert texts("물레방아")[4:] == ["물레", "레방", "방아"]


def test_a_question_has_pairs_alone_unless_a_character_stands_by_itself():
    assert texts("水車小屋", asked=True) == ["水車", "車小", "小屋"]
    assert texts("猫", asked=True) == ["猫"]


def test_names_with_digits_or_joints_are_not_inflected():
    plain = {word.text: word.is_plain for word in words("wheels mp3 apt-gets 猫")}
    assert plain == {
        "wheels": True,
        "mp3": False,
        "apt": True,
        "gets": True,
        "apt-gets": False,
        "猫": False,
    }


def test_endless_words_are_cut():
    assert texts("a" * 10_000) == ["a" * LONGEST_WORD]
    assert max(map(len, texts("ab." * 10_000 + "c"))) <= LONGEST_WORD


@given(st.text())
@example("\u0301")
@example("İ\u0307 ΐ ŉ ß \u1e9e")
@example("\ud800")
def test_any_text_has_words_however_it_is_encoded(text):
    found = texts(text)
    assert all(word and word == normalised(word) for word in found)
    assert texts(normalised(text)) == found
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert texts(unicodedata.normalize(form, text)) == found


@given(st.text())
def test_normalising_again_changes_nothing(text):
    assert normalised(normalised(text)) == normalised(text)
