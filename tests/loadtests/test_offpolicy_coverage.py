"""The gateway's draws and the propensities that it tells are the same: estimates from its log are right."""

from loadtests.offpolicy_coverage import run, summarise


def test_the_truth_is_inside_the_interval() -> None:
    found = [run(300, seed) for seed in range(40)]
    for name, one in summarise(found).items():
        assert one["inside"] >= 0.85, name  # of 95 % intervals: fewer than 34 of 40 has probability .003
        assert abs(one["mean_error"]) < 0.03, name
