"""Where words begin."""


def word_start(text: str, end: int) -> int:
    """Return where the run without blanks that ends at `end` begins; `end` where a blank stands before it."""
    while end > 0 and not text[end - 1].isspace():
        end -= 1
    return end
