"""What of a changed catalogue takes effect while experts run, and what is named as waiting."""

from typing import Any

from experts.catalog.renewal import LIVE, renewed
from experts.catalog.spec import Catalog, ExpertSpec
from tests.experts.entries import expert_spec


def catalog(*specs: ExpertSpec, default: str = "parrot") -> Catalog:
    return Catalog(experts=specs, default=default)


def changed(**fields: Any) -> ExpertSpec:
    return expert_spec(**fields)


def test_what_the_gateway_alone_reads_is_taken_over() -> None:
    assert ExpertSpec.model_fields.keys() >= LIVE
    price = {"usd_per_million": {"prompt": 9, "completion": 8}}
    found, waiting = renewed(catalog(expert_spec()), catalog(changed(price=price, description="speaks")))
    spec = found.get("parrot")
    assert spec is not None
    assert (spec.price.usd_per_prompt_token, spec.description, waiting) == (9e-6, "speaks", ())


def test_what_replicas_are_made_of_waits_and_is_named() -> None:
    other = changed(system_prompt="Be brief.", context_window=128, sampling={"max_tokens": 3})
    found, waiting = renewed(catalog(expert_spec()), catalog(other))
    assert found == catalog(expert_spec())
    assert sorted(waiting) == [
        "experts.parrot.context_window",
        "experts.parrot.sampling",
        "experts.parrot.system_prompt",
    ]


def test_experts_that_come_or_go_wait() -> None:
    running = catalog(expert_spec(), expert_spec(name="crow"))
    found, waiting = renewed(running, catalog(expert_spec(name="crow"), expert_spec(name="jay"), default="jay"))
    assert found == running
    assert waiting == ("experts.jay", "experts.parrot", "default")
