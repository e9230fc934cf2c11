import json
from pathlib import Path

import numpy as np

from router.features.word_vectors import PARTS, read_vectors
from router.training.distil import main


def test_a_table_made_of_two_teachers_reads_back(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = [[f"w{at}" for at in range(300)], [f"w{at}" for at in range(100, 350)]]
    for at, words in enumerate(names):
        (tmp_path / f"{at}.json").write_text(json.dumps(words))
        np.save(tmp_path / f"{at}.npy", random.normal(size=(len(words), 128)))
    files = [str(tmp_path / f"{at}") for at in (0, 1)]
    out = tmp_path / "made.npz"
    assert (
        main(
            [
                "--words",
                *(f"{one}.json" for one in files),
                "--vectors",
                *(f"{one}.npy" for one in files),
                "--out",
                str(out),
            ]
        )
        == 0
    )
    vectors = read_vectors(out)
    assert len(vectors.rows) == 350
    assert not vectors.table[vectors.rows["w0"], PARTS[0] :].any() and vectors.table[vectors.rows["w0"]].any()
    assert vectors.weight[vectors.rows["w1"]] < vectors.weight[vectors.rows["w250"]]
