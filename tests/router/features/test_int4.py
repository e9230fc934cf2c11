import numpy as np

from router.features.int4 import pack, unpack


def test_packing_is_undone_by_unpacking() -> None:
    table = np.random.default_rng(0).integers(-7, 8, (5, 12)).astype(np.int8)
    packed = pack(table)
    assert packed.shape == (5, 6) and np.array_equal(unpack(packed), table)
