"""The key is taken out of what messages quote, however a library has written it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_achieveit.api.redaction import Redactor

KEYS = ["k3y", "it's", 'say "key"', "back\\slash", "\\", "a\\'b\"c", "dots.and+stars*", "a\\\\b"]


@pytest.mark.parametrize("key", KEYS)
def test_the_key_is_found_in_every_form(key: str) -> None:
    """As it is, in a `repr` of text or of bytes, in one within another, and in JSON."""
    redactor = Redactor(key)
    text = f"<{key}>"
    for quoted in (text, repr(text), repr(repr(text)), repr(text.encode()), json.dumps(text)):
        redacted = redactor.redact(quoted)
        assert "<***>" in redacted
        assert key not in redacted.replace("***", "")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=3), st.text(), st.text())
def test_the_key_is_found_anywhere(key: str, before: str, after: str) -> None:
    """Whatever stands around it."""
    for text in (before + key + after, repr(before + key + after)):
        assert "***" in Redactor(key).redact(text)


def test_other_texts_stay() -> None:
    """Also those that hold a part of the key."""
    assert Redactor("k3y-a6f1").redact("k3y-a6 f1, k3y") == "k3y-a6 f1, k3y"


def test_half_a_key_is_not_shown() -> None:
    """Values are shortened after the key was taken out, and escaped."""
    redactor = Redactor("k3y-a6f1")
    for value in ("x" * 95 + "k3y-a6f1" + "y" * 100, ["x" * 93 + "k3y-a6f1"], {"a": ["k3y-a6f1"]}):
        shown = redactor.shown(value)
        assert "k3y" not in shown
        assert len(shown) < 250
    assert redactor.shown("a\nb\x1b[31m") == r"'a\nb\x1b[31m'"


def test_what_is_nested_without_end_is_shown_by_its_type() -> None:
    """A message must not fail for what it quotes."""
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert Redactor("key").shown(value) == "<list>"
