"""Whose an answer is can be told from its name."""

from serve.access.response_ids import is_of, new_id


def test_a_name_says_whose_it_is() -> None:
    names = [new_id("chatcmpl-", "alice") for _ in range(100)]
    assert len(set(names)) == 100
    assert all(is_of(name, "alice") for name in names)
    assert not any(is_of(name, other) for name in names for other in ("", "bob", "alice2"))


def test_what_is_no_name_is_nobodys() -> None:
    for text in ("", "chatcmpl-", "chatcmpl-" + "0" * 32, "x", "chatcmpl-" + "g" * 32):
        assert not is_of(text, "")
