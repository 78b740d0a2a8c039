import pytest

from retro_common.text import clean


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
