"""Passwords of PDFs: they open files, and nothing tells them."""

from __future__ import annotations

import json

import pymupdf
import pytest
from pydantic import SecretStr

from flows.wiring import fingerprint
from schemas.config import Config
from schemas.errors import ConfigError, EncryptedError
from stages.decode.options import DecodeOptions
from tests.unit.stages.decode.pdfs import A4, LOREM, decode, texts, write

OPENS = "open-sesame-1901"


@pytest.fixture
def document():
    with pymupdf.open() as made:
        write(made.new_page(**A4), (60, 80, 535, 300), LOREM)
        yield made


def locked(document, tmp_path, *passwords):
    options = DecodeOptions(passwords=tuple(map(SecretStr, passwords)))
    aes = {"encryption": pymupdf.PDF_ENCRYPT_AES_256, "owner_pw": "owner", "user_pw": OPENS}
    return decode(document, tmp_path, options, **aes)


@pytest.mark.parametrize("passwords", [("wrong", OPENS), ("owner",)])
def test_a_configured_password_opens(document, tmp_path, passwords):
    content, _ = locked(document, tmp_path, *passwords)
    assert texts(content) == [LOREM]


@pytest.mark.parametrize(
    ("passwords", "says"),
    [
        ((), "add it to decoding.passwords"),
        (("wrong", "false"), "none of the 2 in decoding.passwords"),
    ],
)
def test_a_reject_says_what_to_do_and_no_password(document, tmp_path, passwords, says):
    with pytest.raises(EncryptedError, match="needs a password") as raised:
        locked(document, tmp_path, *passwords)
    assert says in str(raised.value)
    assert "gristmill retry --lake URL --code encrypted" in str(raised.value)
    assert not any(password in str(raised.value) for password in passwords)


def configured(tmp_path, text):
    file = tmp_path / "gristmill.toml"
    file.write_text(f"[decoding]\npasswords = {text}\n")
    return Config.load(file)


def test_values_come_from_the_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MILL_SECRET", OPENS)
    config = configured(tmp_path, '["plain", "env:MILL_SECRET"]')
    assert [p.get_secret_value() for p in config.decoding.passwords] == ["plain", OPENS]


def test_nothing_that_is_written_down_tells_them(tmp_path):
    config = configured(tmp_path, f'["{OPENS}"]')
    told = [
        config.model_dump_json(),
        repr(config),
        str(config),
        repr(DecodeOptions(passwords=config.decoding.passwords)),
    ]
    told.append(json.dumps(config.model_dump(mode="json")))
    assert not any(OPENS in text for text in told)
    assert fingerprint(config) == fingerprint(Config())


def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("MILL_SECRET", raising=False)
    with pytest.raises(ConfigError, match="MILL_SECRET is not set"):
        configured(tmp_path, f'["{OPENS}", "env:MILL_SECRET"]')


def test_an_error_about_one_does_not_tell_the_others(tmp_path):
    with pytest.raises(ConfigError) as raised:
        configured(tmp_path, f'["{OPENS}", 3]')
    assert OPENS not in str(raised.value)
