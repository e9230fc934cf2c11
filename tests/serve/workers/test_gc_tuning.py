import gc
from collections.abc import Iterator

import pytest

from serve.workers.gc_tuning import freeze_gc


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_exists_is_left_out_of_collections() -> None:
    before = gc.get_freeze_count()
    freeze_gc()
    assert gc.get_freeze_count() > before + 1000
    assert gc.get_threshold()[0] > 700


def test_cycles_made_later_are_still_found() -> None:
    freeze_gc()
    loops: list[object] = []
    loops.append(loops)
    del loops
    assert gc.collect() >= 1
