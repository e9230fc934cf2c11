"""Near-duplicates are found among many, and overlap with held-out rows."""

from __future__ import annotations

import random

from experts.flywheel.near_duplicates import Unseen, first_of_each


def test_what_is_nearly_the_same_is_kept_once() -> None:
    generator = random.Random(3)
    texts = [" ".join(generator.choices([f"w{n}" for n in range(500)], k=30)) for _ in range(400)]
    changed = [text.rsplit(" ", 1)[0] + " other" for text in texts[:100]]  # one word of thirty
    kept = first_of_each([*texts, *changed])
    assert kept[:400] == list(range(400))
    assert len(kept) <= 403, "MinHash may miss a few of a hundred"


def test_case_and_signs_are_no_difference_and_short_texts_are_compared_whole() -> None:
    assert first_of_each(["Hi!", "hi", "ho", ""]) == [0, 2, 3]


def test_runs_of_words_overlap() -> None:
    run = " ".join(f"a{n}" for n in range(13))
    unseen = Unseen([{"deep": [{"text": f"x {run} y"}]}, "short one"])
    assert unseen.overlaps(f"zzz {run.upper()} qqq")
    assert unseen.overlaps("Short one?")
    assert not unseen.overlaps(run.rsplit(" ", 1)[0])
    assert not unseen.overlaps("")
