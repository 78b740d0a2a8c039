import pytest

from retro_common.text import clean, shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("FernHollow.Act3 [x] <b> $é$ 狐", "FernHollow.Act3 [x] <b> $é$ 狐"),
        ("  a\n\tb\r\nc\u2028d\u00a0e ", "a b c d e"),
        ("\x1b[31mred\x07\x7f\x9b", r"\x1b[31mred\x07\x7f\x9b"),
        ("\u202eexe\u2066\u200b", r"\u202eexe\u2066\u200b"),
        ("\ud800", r"\ud800"),
        ("a\0b", r"a\x00b"),
        (RuntimeError("x"), "x"),
        ("", ""),
    ],
)
def test_a_text_is_one_printable_line(text, shown):
    assert clean(text) == shown
    shown.encode()


def test_a_text_is_cut():
    assert clean("x" * 10**6) == "x" * 199 + "…"
    assert clean("\x1b" * 10**6, 10) == r"\x1b\x1b\…"
    assert clean(" " * 10**6 + "x", 10) == ""
    assert clean("x" * 10, 10) == "x" * 10


def test_values_are_shown_on_one_short_line():
    assert shown("a") == "'a'" and shown([1, 2]) == "[1, 2]"
    for value in ("x" * 10**6, ["\x1b[31m"] * 10**6, {"k": list(range(10**5))}, 1 << 100_000):
        text = shown(value)
        assert len(text) <= 80 and text.isprintable()
    assert clean("a\nb \x1b[0m \ud800") == r"a b \x1b[0m \ud800"
