import numpy as np

from router.features.int4 import WIDE_LEVELS, halves, pack, unpack, whole


def test_packing_is_undone_by_unpacking() -> None:
    table = np.random.default_rng(0).integers(-7, 8, (5, 12)).astype(np.int8)
    packed = pack(table)
    assert packed.shape == (5, 6) and np.array_equal(unpack(packed), table)


def test_halves_of_every_wide_number_fit_and_give_it_back() -> None:
    numbers = np.arange(-WIDE_LEVELS, WIDE_LEVELS + 1).astype(np.int8)[:, None]
    low, high = halves(numbers)
    assert abs(low).max() == abs(high).max() == 7
    assert np.array_equal(whole(low, high), numbers)


def test_narrow_numbers_have_no_high_half() -> None:
    low, high = halves(np.arange(-7, 8).astype(np.int8)[:, None])
    assert not high.any() and np.array_equal(low[:, 0], np.arange(-7, 8))
