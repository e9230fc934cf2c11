"""The NeuronCores that this process may use, written so that every reader of the variable agrees.

Ray gives a replica its cores as a comma list ("0,1"). optimum-neuron 0.4.5 (`get_available_cores`) reads only "4" and
"7-15" and counts a comma list as one core, so a model on two cores would not load. `claim_cores` runs in the engine
process before anything of Neuron's is imported, because the runtime reads the variable once.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

VISIBLE_CORES = "NEURON_RT_VISIBLE_CORES"


class CoresUnusable(Exception):
    """The cores given to this process cannot serve the model; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Cores:
    """A run of neighbouring cores."""

    first: int
    count: int

    def __str__(self) -> str:
        """Write them as optimum-neuron 0.4.5 and the runtime both read them."""
        return str(self.first) if self.count == 1 else f"{self.first}-{self.first + self.count - 1}"


def parse_cores(text: str) -> Cores:
    """Read a value of `NEURON_RT_VISIBLE_CORES`: numbers and ranges, comma separated, in any order.

    Raises:
        CoresUnusable: it is no such list, names a core twice, or leaves a gap.
    """
    numbers = sorted(number for part in text.split(",") for number in _part(part.strip(), text))
    if len(set(numbers)) != len(numbers):
        raise CoresUnusable(f"{VISIBLE_CORES}={text!r} names a core twice")
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise CoresUnusable(
            f"{VISIBLE_CORES}={text!r} leaves gaps, and one model needs neighbouring cores: give the pod whole "
            "devices, one replica a pod, or install the Neuron scheduler extension"
        )
    return Cores(numbers[0], len(numbers))


def claim_cores(environment: MutableMapping[str, str], wanted: int) -> Cores | None:
    """Rewrite the variable as a range and check that it holds as many cores as the model was compiled for.

    Args:
        environment: the process's, before Neuron's libraries are imported.
        wanted: the model's tensor parallel degree.

    Returns:
        The cores, or None when the variable is unset: outside Ray the runtime chooses.

    Raises:
        CoresUnusable: they do not fit the model.
    """
    text = environment.get(VISIBLE_CORES)
    if text is None:
        return None
    cores = parse_cores(text)
    if cores.count != wanted:
        raise CoresUnusable(
            f"the model is compiled for {wanted} NeuronCores and this replica has {cores.count} ({text}): set "
            f"resources.custom.neuron_cores to {wanted} in the catalogue, or compile it for {cores.count}"
        )
    environment[VISIBLE_CORES] = str(cores)
    return cores


def _part(part: str, text: str) -> list[int]:
    first, dash, last = part.partition("-")
    if not (first.isascii() and first.isdigit()) or (dash and not (last.isascii() and last.isdigit())):
        raise CoresUnusable(f"{VISIBLE_CORES}={text!r} is no list of core numbers such as '0-1' or '0,1'")
    if not dash:
        return [int(first)]
    if int(last) < int(first):
        raise CoresUnusable(f"{VISIBLE_CORES}={text!r} has a range that ends before it begins")
    return list(range(int(first), int(last) + 1))
