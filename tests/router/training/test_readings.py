import json
from pathlib import Path

import pytest

from router.training.readings import ALONE, DEFAULT_PATH, DIGITS, EXPERTS, HELD_OUT_PATH, digest_of, read_readings


def one(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_labels_are_joined_by_digest_and_unread_rows_left_out(tmp_path: Path) -> None:
    data, table = tmp_path / "public.jsonl", tmp_path / "labels.tsv"
    texts = ["list five herbs", "nobody read this", "list five herbs"]
    data.write_text("".join(json.dumps({"messages": one(text)}) + "\n" for text in texts))
    table.write_text(f"{digest_of(one('list five herbs'))}\tra\n")
    (found,) = read_readings([data], table)
    assert found.labels == ("researcher", "advisor") and found.is_seed and found.source == "seed:read:public"


@pytest.mark.parametrize("alone", ALONE)
def test_a_prompt_alone_is_one_turn_and_a_conversation_is_more_than_its_last(tmp_path: Path, alone: str) -> None:
    data, table = tmp_path / "public.jsonl", tmp_path / "labels.tsv"
    chat = [*one("who wrote it?"), {"role": "assistant", "content": "Euler."}, *one("are you sure?")]
    rows = [{alone: "what is seven times three?"}, {"messages": chat}, {"messages": one("are you sure?")}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table.write_text(f"{digest_of(one('what is seven times three?'))}\tg\n{digest_of(chat)}\tr\n")
    first, second = read_readings([data], table)
    assert (first.labels, len(first.query.turns)) == (("generalist",), 1)
    assert (second.labels, len(second.query.turns)) == (("researcher",), 3)


@pytest.mark.parametrize(("table", "least"), [(DEFAULT_PATH, 3_000), (HELD_OUT_PATH, 2_000)])
def test_the_tables_hold_digests_and_labels_and_no_text(table: Path, least: int) -> None:
    lines = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len({key for key, _ in lines}) > least
    assert all(len(key) == DIGITS and int(key, 16) >= 0 and set(labels) <= set(EXPERTS) for key, labels in lines)


def test_nothing_that_judges_is_learned_from() -> None:
    learned, judged = (
        {line.split("\t")[0] for line in table.read_text(encoding="utf-8").splitlines()}
        for table in (DEFAULT_PATH, HELD_OUT_PATH)
    )
    assert not learned & judged
