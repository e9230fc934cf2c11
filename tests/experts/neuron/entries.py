"""Catalogue entries of Neuron experts, for tests."""

from typing import Any

from experts.catalog.spec import ExpertSpec


def neuron_spec(**fields: Any) -> ExpertSpec:
    entry: dict[str, Any] = {
        "name": "coder",
        "description": "writes code",
        "base": "hf:meta-llama/Llama-3.1-8B-Instruct",
        "engine": "neuron",
        "context_window": 4096,
        "max_prompt_tokens": 3072,
        "max_batch_size": 4,
        "licence": "llama3.1",
        "price": {"usd_per_million": {"prompt": 1, "completion": 2}},
        "resources": {"num_cpus": 1, "custom": {"neuron_cores": 2}},
        "engine_options": {"artifact": "s3://models/coder"},
    }
    return ExpertSpec.model_validate(entry | fields)
