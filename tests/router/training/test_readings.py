import json
from pathlib import Path

from router.training.readings import digest_of, read_readings


def test_labels_are_joined_by_digest_and_unread_rows_left_out(tmp_path: Path) -> None:
    data, table = tmp_path / "public.jsonl", tmp_path / "labels.tsv"
    texts = ["list five herbs", "nobody read this", "list five herbs"]
    data.write_text("".join(json.dumps({"messages": [{"role": "user", "content": text}]}) + "\n" for text in texts))
    table.write_text(f"{digest_of('list five herbs')}\tra\n")
    (found,) = read_readings([data], table)
    assert found.labels == ("researcher", "advisor") and found.is_seed and found.source == "seed:read:public"
