import pytest

from router.decision import Candidate, Reason, RouteDecision


def make() -> RouteDecision:
    ranking = (Candidate("coder", 0.9), Candidate("advisor", 0.4), Candidate("generalist", 0.1))
    return RouteDecision(ranking, Reason.CLASSIFIED, 0.9, "abc", 0.0001)


def test_expert_is_the_first_of_the_ranking() -> None:
    assert make().expert == "coder"


def test_fallback_puts_the_later_candidate_first_and_keeps_everyone() -> None:
    fallen = make().fallback_to(2)
    assert (fallen.expert, fallen.reason, fallen.confidence) == ("generalist", Reason.FALLBACK, 0.1)
    assert {one.expert for one in fallen.ranking} == {"coder", "advisor", "generalist"}
    assert fallen.router_version == "abc"


@pytest.mark.parametrize("index", [-1, 0, 3])
def test_fallback_refuses_what_is_no_later_candidate(index: int) -> None:
    with pytest.raises(IndexError):
        make().fallback_to(index)
