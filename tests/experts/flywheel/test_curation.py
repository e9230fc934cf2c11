"""A set to learn from: valid, liked, different, balanced, and nobody on both sides."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.evaluation.suites.traffic import TrafficSuite
from experts.flywheel.curation import Curated, Wants, curate, sample
from experts.flywheel.interaction import Interaction, Opinion
from experts.flywheel.near_duplicates import Unseen
from experts.flywheel.validity import fault
from experts.training.recipes.sample import read_seed
from tests.experts.flywheel.made import MAIL, kept, question

FEW = Wants(train=1, held_out=1, people=2)
NONE = Unseen(())


def made(records: list[Interaction], wants: Wants = FEW, unseen: Unseen = NONE) -> Curated:
    return curate(records, "coder", unseen, wants)


def ids(curated: Curated, name: str) -> set[str]:
    return {str(row["id"]) for row in curated.files[name]}


def test_what_is_learned_can_be_read_by_the_recipes() -> None:
    called = kept(1, calls=[("mail", {"to": "a"})], tools=[MAIL])
    curated = made([called, *map(kept, range(2, 12))])
    rows = [*curated.files["train"], *curated.files["held_out"]]
    answers = {row["id"]: read_seed(row).answer for row in rows}
    assert answers["r00002"] == "Done."
    assert '"mail"' in answers["r00001"]
    assert not curated.missing


def test_what_is_left_out_and_why() -> None:
    records = [
        kept(1, rating=None),
        kept(2, rating=-1),
        kept(3, finish="length"),
        kept(4, answer=" "),
        kept(5, calls=[("nothing", {})], tools=[MAIL]),
        kept(6, calls=[("mail", "{")], tools=[MAIL]),
        kept(7, calls=[("mail", {"n": "x"})], tools=[MAIL]),
        kept(8, answer="see [3]", documents=[{"text": "d"}]),
        kept(9, answer="```python\ndef f(:\n```"),
        kept(10, answer="```python\nx = 1"),
        kept(11, answer="not JSON", response_format={"type": "json_object"}),
        kept(12, better="advisor"),
        kept(13, expert="advisor"),
        kept(14, question(15)),
        kept(15, question(15)),
        kept(16, answer="fine [1]\n```python\nx = 1\n```", documents=[{"text": "d"}]),
        kept(17, '{"a": 1}', answer='{"a": 1}', response_format={"type": "json_object"}),
    ]
    curated = made(records)
    assert ids(curated, "train") | ids(curated, "held_out") == {"r00014", "r00016", "r00017"}
    assert curated.left_out["unrated"] == 1
    assert curated.left_out["disliked"] == 1
    assert curated.left_out["nearly the same"] == 1
    assert curated.left_out["another expert's"] == 1
    for reason in (
        "cut off",
        "empty",
        "a tool that is not there",
        "arguments that are no JSON",
        "arguments that break the schema",
        "a citation of nothing",
        "no JSON",
    ):
        assert curated.left_out[reason] == 1, reason
    assert curated.left_out["Python that does not parse"] == 1
    assert curated.left_out["code without an end"] == 1


PLAN = [("mail", {"to": "a"}), ("mail", {"to": "$1.sender", "n": "$1.count"})]


def test_a_plan_is_learned_as_a_plan() -> None:
    plan = kept(1, calls=PLAN, tools=[MAIL], plan=True)
    assert fault(plan) is None
    row = sample(plan)
    assert row["plan"] is True
    learned = read_seed(row)
    assert learned.conversation.plan
    assert [json.loads(line[11:-12])["id"] for line in learned.answer.splitlines()] == [1, 2]
    assert TrafficSuite().read(row, 0).conversation.plan
    plain = sample(kept(2, calls=PLAN[:1], tools=[MAIL]))
    assert "plan" not in plain
    assert not read_seed(plain).conversation.HasField("plan")


def test_references_are_no_values_outside_a_plan_and_none_to_later_calls_in_one() -> None:
    wrong = "arguments that break the schema"
    assert fault(kept(1, calls=PLAN, tools=[MAIL])) == wrong
    assert fault(kept(2, calls=PLAN[1:], tools=[MAIL], plan=True)) == wrong
    assert fault(kept(3, calls=[("mail", {"to": "a", "n": "2"})], tools=[MAIL], plan=True)) == wrong
    bare = {"type": "function", "function": {"name": "mail"}}
    assert fault(kept(4, calls=PLAN, tools=[bare], plan=True)) is None


def test_a_plan_that_was_not_liked_is_written_as_one() -> None:
    words = question(1)
    records = [
        kept(1, words, calls=PLAN, tools=[MAIL], plan=True),
        kept(2, words, calls=PLAN[:1], tools=[MAIL], plan=True, rating=-1.0),
        *map(kept, range(10, 40)),
    ]
    [pair] = made(records, replace(FEW, held_out_share=0.0)).files["pairs"]
    assert pair["rejected"] == '<tool_call>{"id": 1, "name": "mail", "arguments": {"to": "a"}}</tool_call>'


def test_too_little_is_said_with_how_much_there_is() -> None:
    curated = made(list(map(kept, range(30))), Wants(train=200, held_out=5, people=3))
    facts = curated.as_dict()
    assert facts["verdict"] == "too little data"
    assert set(facts["missing"]) == {"train"}
    assert facts["missing"]["train"] == {"have": len(curated.files["train"]), "need": 200}


def test_one_person_alone_is_not_divided() -> None:
    curated = made([kept(number, person="one") for number in range(50)])
    assert curated.missing["held_out"] == (0, 1)
    assert len(curated.files["train"]) == 50


def test_rows_of_held_out_bars_are_never_learned_from() -> None:
    long = " ".join(f"b{place}" for place in range(20))
    bars = [{"q": f"before {long} after"}, [{"content": "What is the capital?"}]]
    records = [kept(1, f"tell me: {long}"), kept(2, "what is THE capital"), *map(kept, range(3, 20))]
    curated = made(records, unseen=Unseen(bars))
    assert curated.left_out["overlaps a held-out bar"] == 2
    assert {"r00001", "r00002"}.isdisjoint(ids(curated, "train") | ids(curated, "held_out"))


def test_no_kind_has_more_than_its_share() -> None:
    records = [kept(n, calls=[("mail", {"to": "x"})], tools=[MAIL]) for n in range(90)] + list(
        map(kept, range(90, 120))
    )
    assert len(made(records).files["train"]) + len(made(records).files["held_out"]) == 120, "so few are all kept"
    curated = made(records, replace(FEW, least_of_a_kind=0))
    rows = [*curated.files["train"], *curated.files["held_out"]]
    assert (sum(row["kind"] == "tool mail" for row in rows), len(rows)) == (30, 60)
    assert "r00089" in {row["id"] for row in rows}, "the latest stay"


def test_a_disliked_answer_is_the_rejected_half_of_a_pair() -> None:
    words = "Write a function that adds"
    liked, disliked = kept(1, words, "good"), kept(2, words, "bad", rating=-1)
    others = list(map(kept, range(3, 30)))
    curated = made([liked, disliked, *others], replace(FEW, held_out_share=0.0))
    assert [(row["answer"], row["rejected"]) for row in curated.files["pairs"]] == [("good", "bad")]


def test_who_should_have_answered_teaches_the_router() -> None:
    records = [
        kept(1, rating=-1, better="advisor"),
        kept(2, expert="advisor", rating=-1, better="coder"),
        kept(3, expert="advisor", rating=1),
        kept(4, rating=-1),
        kept(5),
    ]
    curated = made(records, replace(FEW, held_out_share=0.0))
    assert [row["label"] for row in curated.files["router"]] == ["advisor", "coder", "coder"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=60))
def test_nobody_is_on_both_sides_and_the_order_of_the_store_is_no_matter(draws: list[tuple[int, bool]]) -> None:
    records = [kept(n, person=f"p{who}", rating=1.0 if good else -1.0) for n, (who, good) in enumerate(draws)]
    curated = made(records)
    who = {one.id: one.person for one in records}
    sides = {name: {who[one] for one in ids(curated, name)} for name in ("train", "held_out")}
    assert sides["train"].isdisjoint(sides["held_out"])
    learned = {who[row["id"]] for row in curated.files["pairs"]}
    assert learned.isdisjoint(sides["held_out"])
    assert made(records[::-1]).digest == curated.digest


def test_an_unrated_answer_is_learned_from_where_that_is_wanted() -> None:
    records = [kept(n, rating=None) for n in range(20)]
    assert len(made(records).files["train"]) == 0
    assert len(made(records, replace(FEW, takes_unrated=True)).files["train"]) > 0


def test_a_users_pseudonym_tells_people_of_a_key_apart() -> None:
    one = kept(1, person="app")
    own = {**one.record["moegate"], "user": "abc"}
    assert Interaction({**one.record, "moegate": own}).person == "app/abc"
    assert Interaction({**one.record, "client_id": ""}).person == "c1"
    assert Interaction(one.record, (Opinion(1.0), Opinion(-0.5, "x"))).rating == pytest.approx(0.25)


def test_a_correction_is_learned_in_place_of_the_answer() -> None:
    """It is a liked answer, and the other half of a pair with what was said."""
    corrected = [
        Interaction(kept(number, answer="It is broken.").record, (Opinion(0.5, None, f"PRIORITY: P{number}"),))
        for number in range(12)
    ]
    made = curate(corrected, "coder", Unseen(()), Wants(1, 1, 2))
    rows = [*made.files["train"], *made.files["held_out"]]
    assert len(rows) == 12
    assert all(row["answer"].startswith("PRIORITY: P") for row in rows)
    assert {pair["rejected"] for pair in made.files["pairs"]} == {"It is broken."}
    assert len(made.files["pairs"]) == len(made.files["train"])
    assert all(pair["answer"].startswith("PRIORITY: P") for pair in made.files["pairs"])


def test_a_correction_that_breaks_what_was_asked_for_is_not_learned() -> None:
    form = {"response_format": {"type": "json_object"}}
    one = Interaction(kept(1, answer="{}", **form).record, (Opinion(-1.0, None, "no JSON"),))
    assert curate([one], "coder", Unseen(()), Wants(1, 1, 2)).left_out["no JSON"] == 1
