"""What the tests of recipes say of rows and samples."""

from __future__ import annotations

from experts.training.recipes.sample import Sample


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def asked(sample: Sample) -> str:
    return sample.conversation.messages[-1].content
