"""Instances and bases as data: `deploy/instances.yaml`, read and checked.

The compiler's plan and the fleet simulator ask here what an instance holds and costs; the file gives the date of its
figures. An architecture is read from a local model's config.json, or from the file for well-known bases, so that plans
work offline.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experts.catalog.yaml_file import YamlError, read_yaml

GIB = 1 << 30


class InstancesError(Exception):
    """The data cannot be used, or does not know a name; the message says which."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Instance(_Data):
    """One instance type."""

    family: Literal["inf2", "trn1", "trn1n", "trn2"]
    chips: int = Field(ge=1)
    cores: int = Field(ge=1)  # NeuronCores
    hbm_gib: float = Field(gt=0)  # of all devices
    vcpus: int = Field(ge=1)
    host_gib: float = Field(gt=0)
    usd_per_hour: float = Field(ge=0)  # on demand

    @property
    def hbm_per_core(self) -> float:
        """Bytes of device memory that one core can count on."""
        return self.hbm_gib * GIB / self.cores


class Architecture(BaseModel):
    """A Llama's shape, in the words of its config.json; other fields there are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hidden_size: int = Field(ge=1)
    intermediate_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_key_value_heads: int = Field(ge=1)
    vocab_size: int = Field(ge=1)
    head_dim: int | None = None
    tie_word_embeddings: bool = False

    @property
    def head_size(self) -> int:
        """Numbers in one head's key."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def parameters(self) -> int:
        """Count the checkpoint's parameters."""
        heads = 2 * self.num_attention_heads + 2 * self.num_key_value_heads
        layer = heads * self.head_size * self.hidden_size + 3 * self.hidden_size * self.intermediate_size
        norms = (2 * self.num_hidden_layers + 1) * self.hidden_size
        tables = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        return layer * self.num_hidden_layers + norms + tables


class InstanceData(_Data):
    """The whole file."""

    as_of: datetime.date
    region: str
    source: str
    instances: dict[str, Instance]
    architectures: dict[str, Architecture]

    def instance(self, name: str) -> Instance:
        """Return an instance type.

        Raises:
            InstancesError: it is not in the file.
        """
        if name not in self.instances:
            raise InstancesError(f"no such instance: {name}; there are {', '.join(self.instances)}")
        return self.instances[name]

    def architecture(self, base: str) -> Architecture:
        """Return a base's shape: a local folder's own, or the file's.

        Raises:
            InstancesError: neither knows it.
        """
        config = Path(base).expanduser() / "config.json"
        if config.is_file():
            return read_architecture(config)
        if base not in self.architectures:
            raise InstancesError(
                f"the shape of {base!r} is not known: name a folder with its config.json, or add it to "
                f"deploy/instances.yaml, which has {', '.join(self.architectures)}"
            )
        return self.architectures[base]


def read_architecture(config: Path) -> Architecture:
    """Read a model's config.json.

    Raises:
        InstancesError: it is no Llama's, or lacks a part of its shape.
    """
    try:
        content = json.loads(config.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InstancesError(f"{config}: cannot be read: {type(error).__name__}") from error
    kind = content.get("model_type") if isinstance(content, dict) else None
    if kind != "llama":
        raise InstancesError(f"{config}: model_type is {kind!r}; only llama is supported here")
    try:
        return Architecture.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{mistake['loc'][0]}: {mistake['msg']}" for mistake in error.errors())
        raise InstancesError(f"{config}: {wrong}") from error


def default_path() -> Path:
    """Return the checkout's deploy/instances.yaml, or the copy packaged in a wheel."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "deploy" / "instances.yaml"
    return checkout if checkout.is_file() else package / "_deploy" / "instances.yaml"


def load_instances(path: Path | None = None) -> InstanceData:
    """Read and check the data.

    Raises:
        InstancesError: it cannot be used.
    """
    path = path or default_path()
    try:
        document = read_yaml(path)
    except YamlError as error:
        raise InstancesError(str(error)) from error
    try:
        return InstanceData.model_validate(document.content)
    except ValidationError as error:
        raise InstancesError("\n".join(document.complaint(each, InstanceData) for each in error.errors())) from error
