from router.features.featurize import query_from_openai
from router.training.dataset import Row
from router.training.typos import slipped

TALK = [
    {"role": "user", "content": "Which mountain is the highest of Austria?"},
    {"role": "assistant", "content": "The Grossglockner."},
    {"role": "user", "content": "Translate that sentence into Portuguese please!"},
]


def copies(text: str, count: int = 60) -> list[str]:
    rows = [Row("seed:x", query_from_openai([*TALK[:2], {"role": "user", "content": text}]), ("generalist",))] * count
    return [row.query.turns[-1].text for row in slipped(rows, seed=0)]


def test_the_newest_turn_alone_is_typed_in_haste() -> None:
    row = Row("seed:x", query_from_openai(TALK), ("generalist",), ("en",))
    made = slipped([row] * 40, seed=0)
    assert all(one.query.turns[:2] == row.query.turns[:2] and one.labels == row.labels for one in made)
    assert len({one.query.turns[2].text for one in made}) > 20
    assert made == slipped([row] * 40, seed=0) != slipped([row] * 40, seed=1)


def test_slips_are_small() -> None:
    text = "please explain photosynthesis again"
    assert all(len(made.split()) == 4 and abs(len(made) - len(text)) <= 4 for made in copies(text))


def test_names_with_signs_in_them_keep_their_letters() -> None:
    assert {made.lower() for made in copies("my_table x_y_z")} == {"my_table x_y_z"}
