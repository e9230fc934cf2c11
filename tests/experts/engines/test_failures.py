"""A failure is told by its class and its way, never by its words."""

from experts.engines.failures import describe_failure


def innermost(text: str) -> None:
    raise ValueError(f"cannot read {text}")


def outer(text: str) -> None:
    innermost(text)


def caught() -> ValueError:
    try:
        outer("a secret prompt")
    except ValueError as error:
        return error
    raise AssertionError


def test_the_class_and_the_places_innermost_first() -> None:
    name, first, second, third = describe_failure(caught()).split(" < ")
    assert name == "ValueError"
    assert [place.partition(":")[0] for place in (first, second, third)] == ["innermost", "outer", "caught"]
    assert first.partition(":")[2] == str(innermost.__code__.co_firstlineno + 1)


def test_nothing_of_the_message_is_told() -> None:
    told = describe_failure(caught())
    assert "secret" not in told
    assert "cannot read" not in told


def test_an_exception_that_was_never_raised_is_its_class_alone() -> None:
    assert describe_failure(KeyError("a secret prompt")) == "KeyError"
