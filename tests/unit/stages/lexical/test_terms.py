import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.lexical.terms import document_terms, query_terms


def finds(question, text, language, languages):
    asked = query_terms(question, languages)
    there = set(document_terms(text, language))
    return all(there & set(word) for word in asked)


@pytest.mark.parametrize(
    ("question", "text", "language"),
    [
        ("mill wheels", "The mill's wheel", "en"),
        ("Mühlrad", "die Mühlräder drehen sich", "de"),
        ("strasse", "Straßen", "de"),
        ("cafe", "les cafés de Paris", "fr"),
        ("moulin à vent", "Les moulins à vent", "fr"),
        ("мельница", "старые мельницы", "ru"),
        ("ёлка", "елки", "ru"),
        ("水車", "古い水車小屋", "ja"),
        ("水车", "村里的水车很旧", "zh"),
        ("방아", "물레방아", "ko"),
        ("νερόμυλος", "ΝΕΡΌΜΥΛΟΙ", "el"),
        ("molinos", "El molino", "es"),
        ("sources.list", "edit /etc/apt/sources.list", "en"),
        ("CVE-2024-1234", "fixes cve-2024-1234", ""),
    ],
)
def test_a_question_finds_the_inflected_word_in_its_language(question, text, language):
    assert finds(question, text, language, ["de", "en", "fr", "ru", "el", "es"])


def test_a_letter_with_a_mark_is_another_letter_where_it_is_one():
    assert document_terms("får far", "sv") == ["får", "far"]
    assert document_terms("мой мои", "") == ["мой", "мои"]
    assert len(set(document_terms("père pere", "fr"))) == 1


def test_without_a_language_a_word_is_compared_as_it_is():
    assert document_terms("Wheels turned", "") == ["wheels", "turned"]
    assert document_terms("Wheels turned", "tlh") == ["wheels", "turned"]
    assert query_terms("wheels", ["en"]) == [("wheel", "wheels")]


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("What was the war about?", ["war"]),
        ("How do I find the Julian Day?", ["find", "julian", "day"]),
        ("Un guépard.", ["guepard"]),
        ("Wie war das Wetter?", ["wetter"]),
        ("to be or not to be", ["to", "be", "or", "not", "to", "be"]),
        ("walnut", ["walnut"]),
        ("", []),
    ],
)
def test_stop_words_are_not_asked_for_unless_they_are_all_there_is(question, asked):
    assert query_terms(question, []) == [(word,) for word in asked]


@given(st.text(), st.sampled_from(["", "ar", "de", "en", "fr", "ja", "ru", "th", "tr"]))
def test_a_text_finds_itself_in_any_language(text, language):
    terms = document_terms(text, language)
    assert all(terms)
    assert all(set(word) & set(terms) for word in query_terms(text, [language]))
