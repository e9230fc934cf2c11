"""What an expert is to learn from: kept answers that are valid, liked, of many kinds and people, and seen nowhere else.

A row is what `experts.training` reads: `messages`, `tools`, `documents`, then `calls` or `answer`. Nobody is on both
sides of the split, so a held-out row is of somebody whom the expert has not met. An answer that was disliked becomes
the rejected half of a pair where another answer to the same words was liked, or where somebody has corrected it; who
should have answered becomes a row for the router.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from experts.conversation.prompts import calls_answer, plan_answer
from experts.flywheel.interaction import Interaction
from experts.flywheel.near_duplicates import Unseen, first_of_each, words_of
from experts.flywheel.validity import fault

_LIKED: Final = 0.0  # a rating above it


@dataclass(frozen=True, slots=True)
class Wants:
    """What is asked of a curated set.

    Attributes:
        train: rows to learn from, at least.
        held_out: rows to judge by, at least.
        people: whoever they are of, at least; on either side one is enough.
        held_out_share: of people.
        most_of_a_kind: the share of the rows that one kind may have; the latest stay.
        least_of_a_kind: rows of a kind that are kept whatever their share.
        takes_unrated: answers that nobody has rated are learned from, too.
    """

    train: int = 200
    held_out: int = 100
    people: int = 5
    held_out_share: float = 0.25
    most_of_a_kind: float = 0.5
    least_of_a_kind: int = 200
    takes_unrated: bool = False


@dataclass(frozen=True, slots=True)
class Curated:
    """A set, by the name of each of its files.

    Attributes:
        files: rows of `train`, `held_out`, `pairs` and `router`.
        left_out: how many records were left out, by reason.
        people: how many there are on each side.
        missing: what there is too little of, as (have, need); empty where the set is enough.
    """

    files: Mapping[str, Sequence[Mapping[str, Any]]]
    left_out: Mapping[str, int]
    people: Mapping[str, int]
    missing: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Name the set by what is in it."""
        text = json.dumps(self.files, sort_keys=True, ensure_ascii=False)
        return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest."""
        return {
            "digest": self.digest,
            "verdict": "too little data" if self.missing else "enough",
            "rows": {name: len(rows) for name, rows in self.files.items()},
            "people": dict(self.people),
            "left_out": dict(self.left_out),
            "missing": {name: {"have": have, "need": need} for name, (have, need) in self.missing.items()},
        }


def curate(found: Iterable[Interaction], expert: str, unseen: Unseen, wants: Wants) -> Curated:
    """Make an expert's set of everything that is kept; the same records make the same set."""
    left_out: Counter[str] = Counter()
    records = sorted((one for one in found if not one.is_recalled), key=lambda one: (one.record["timestamp"], one.id))
    own = [said for one in records if one.expert == expert for said in one.corrected()]
    usable = [one for one in own if _is_usable(one, unseen, left_out)]
    liked = [one for one in usable if _is_liked(one, wants, left_out)]
    different = [liked[place] for place in first_of_each([_question(one) for one in liked])]
    left_out["nearly the same"] += len(liked) - len(different)
    balanced = _balanced(different, wants)
    left_out["too many of its kind"] += len(different) - len(balanced)
    held_out_people = _held_out(balanced, wants.held_out_share)
    train = [one for one in balanced if one.person not in held_out_people]
    held_out = [one for one in balanced if one.person in held_out_people]
    people = {"train": len({one.person for one in train}), "held_out": len({one.person for one in held_out})}
    files = {
        "train": [sample(one) for one in train],
        "held_out": [sample(one) for one in held_out],
        "pairs": _pairs([one for one in usable if one.person not in held_out_people]),
        "router": [_router_row(one) for one in records if _teaches_the_router(one, expert, held_out_people, unseen)],
    }
    missing = {
        name: (have, need)
        for name, have, need in (
            ("train", len(train), wants.train),
            ("held_out", len(held_out), wants.held_out),
            ("people", sum(people.values()), wants.people),
        )
        if have < need
    }
    return Curated(files, {name: count for name, count in left_out.items() if count}, people, missing)


def sample(one: Interaction) -> dict[str, Any]:
    """Return what is learned of one answer."""
    asked = one.request
    calls = one.message.get("tool_calls")
    said: dict[str, Any] = {"answer": one.message.get("content") or ""}
    if calls:
        functions = [call["function"] for call in calls]
        said = {"calls": [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in functions]}
    parts = {name: asked[name] for name in ("tools", "plan", "documents", "response_format") if asked.get(name)}
    return {"id": one.id, "kind": one.kind, "messages": asked["messages"], **parts, **said}


def _is_usable(one: Interaction, unseen: Unseen, left_out: Counter[str]) -> bool:
    reason = fault(one) or ("overlaps a held-out bar" if unseen.overlaps(one.words) else None)
    if reason is not None:
        left_out[reason] += 1
    return reason is None


def _is_liked(one: Interaction, wants: Wants, left_out: Counter[str]) -> bool:
    if one.better_expert is not None and one.better_expert != one.expert:
        left_out["another expert's"] += 1
    elif one.rating is None:
        left_out["unrated"] += not wants.takes_unrated
        return wants.takes_unrated
    elif one.rating <= _LIKED:
        left_out["disliked"] += 1
    else:
        return True
    return False


def _question(one: Interaction) -> str:
    """What makes a request another one: its words, and those of its tools and documents."""
    tools = " ".join(str(tool["function"]["name"]) for tool in one.request.get("tools") or ())
    documents = " ".join(str(document.get("text", ""))[:200] for document in one.request.get("documents") or ())
    return f"{one.words} {tools} {documents}"


def _balanced(records: Sequence[Interaction], wants: Wants) -> list[Interaction]:
    """Keep of each kind at most its share of what is kept in the end; the latest stay.

    One kind alone is no matter of balance.
    """
    sizes = Counter(one.kind for one in records)
    if len(sizes) < 2:
        return list(records)
    limit = max(wants.least_of_a_kind, _limit(sorted(sizes.values()), wants.most_of_a_kind))
    room = dict.fromkeys(sizes, limit)
    kept: list[Interaction] = []
    for one in reversed(records):
        if room[one.kind] > 0:
            room[one.kind] -= 1
            kept.append(one)
    return kept[::-1]


def _limit(sizes: Sequence[int], most: float) -> int:
    """The most that the largest kind may have, by its share of the sum; not less than the second has."""
    others = sum(sizes[:-1])
    return max(sizes[-2], int(others * most / max(1e-9, 1.0 - most)))


def _held_out(records: Sequence[Interaction], share: float) -> frozenset[str]:
    """Choose people by a hash of who they are, until they have their share of the rows; a person stays on its side."""
    sizes = Counter(one.person for one in records)
    wanted, chosen = share * len(records), set[str]()
    for person in sorted(sizes, key=lambda name: sha256(name.encode()).digest()):
        if wanted <= 0 or len(chosen) + 1 >= len(sizes):
            break
        chosen.add(person)
        wanted -= sizes[person]
    return frozenset(chosen)


def _pairs(usable: Sequence[Interaction]) -> list[dict[str, Any]]:
    """Pair each disliked answer with a liked one to the same words, tools and documents."""
    liked: dict[str, Interaction] = {}
    disliked: dict[str, list[Interaction]] = defaultdict(list)
    for one in usable:
        question = " ".join(words_of(_question(one)))
        if one.rating is not None and one.rating > _LIKED:
            liked[question] = one
        elif one.rating is not None and one.rating < _LIKED:
            disliked[question].append(one)
    return [
        sample(liked[question]) | {"rejected": _said(worse)}
        for question, ones in disliked.items()
        if question in liked
        for worse in ones
        if _said(worse) != _said(liked[question])
    ]


def _said(one: Interaction) -> str:
    """The answer as the expert writes it."""
    said = sample(one)
    if "calls" in said:
        return plan_answer(said["calls"]) if said.get("plan") else calls_answer(said["calls"])
    return str(said["answer"])


def _teaches_the_router(one: Interaction, expert: str, held_out: frozenset[str], unseen: Unseen) -> bool:
    """Whether somebody has said who should answer, and it concerns this expert."""
    label = _label(one)
    concerns = label is not None and expert in (label, one.expert)
    return (
        concerns and bool(one.request.get("messages")) and one.person not in held_out and not unseen.overlaps(one.words)
    )


def _label(one: Interaction) -> str | None:
    """Who should answer: whoever was named, or whoever did where that was liked."""
    if one.better_expert is not None:
        return one.better_expert
    return one.expert if one.rating is not None and one.rating > _LIKED else None


def _router_row(one: Interaction) -> dict[str, Any]:
    """A row as `router.train` reads it."""
    asked = one.request
    parts = {name: asked[name] for name in ("tools", "tool_choice") if asked.get(name)}
    return {"source": "traffic", "messages": asked["messages"], **parts, "label": _label(one)}
