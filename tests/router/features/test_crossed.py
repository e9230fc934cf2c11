import numpy as np

from router.features.crossed import crossed_families, flags_of, name_crossed
from router.features.featurize import featurize_turn
from router.features.hashing import bucket


def test_flags_say_what_a_prompt_looks_like() -> None:
    flags = flags_of(featurize_turn("How many of the 12 eggs and 7 apples, of 3 kinds, are left?").dense)
    assert {"asks", "a number", "numbers"} <= set(flags) and not {"code", "options"} & set(flags)


def test_every_pair_of_clues_has_a_name() -> None:
    dense = featurize_turn("How many of the 12 eggs are left?").dense
    places = bucket(crossed_families(dense, ["HOWMANY"])).indices
    assert set(places.tolist()) == set(name_crossed(dense, ["HOWMANY"]))


def test_no_concepts_are_a_clue_too() -> None:
    dense = np.zeros_like(featurize_turn("").dense)
    places = bucket(crossed_families(dense, [])).indices
    assert places.tolist() == list(name_crossed(dense, [])) and len(places) == 1
