"""The encoder as a Ray Serve application: its deployment's options, and the weights that its replicas load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from experts.artifacts.bases import BaseUnavailable
from experts.artifacts.encoder_bases import resolve_encoder
from experts.artifacts.store import Artifact, default_store
from experts.catalog.encoders import encoder_name
from experts.cluster.encoder_deployment import EncoderDeployment, Search
from experts.encoders.encoder import Encode
from experts.retrieval.stores import QDRANT

if TYPE_CHECKING:
    from ray.serve import Application

ENCODER_SERVICER = "protos.encoder_pb2_grpc.add_EncoderServicer_to_server"
ENCODER_DEPLOYMENT = "encoder"
NUM_CPUS = 0.25  # that a replica reserves, as an expert's does
_CALLS = 64  # that a replica takes at once; their texts wait in its own lines


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """An encoder whose model is on this machine, and the store whose collections it searches, if there is one."""

    base: str
    model: Artifact
    collections: str | None = None

    @property
    def name(self) -> str:
        """What clients call it."""
        return encoder_name(self.base)


def find_encoder(base: str | None, collections: str | None = None) -> EncoderSpec | None:
    """Find or fetch the encoder's model; None where none is wanted. `collections` is the address of their store.

    Raises:
        BaseUnavailable: it cannot be had, or what runs it is not installed.
    """
    if not base:
        return None
    if find_spec("tokenizers") is None:
        raise BaseUnavailable("an encoder needs: pip install 'moegate[cpu,encoder]'")
    if collections and not collections.startswith(QDRANT) and find_spec("lancedb") is None:
        raise BaseUnavailable("collections need: pip install 'moegate[retrieval]'")
    return EncoderSpec(base, resolve_encoder(base, default_store()), collections)


def encoder_options() -> dict[str, Any]:
    """Return the options of the encoder's deployment."""
    return {
        "max_ongoing_requests": _CALLS,
        "health_check_period_s": 5,
        "health_check_timeout_s": 30,
        "graceful_shutdown_timeout_s": 3,
        "graceful_shutdown_wait_loop_s": 0.2,
        "ray_actor_options": {"num_cpus": NUM_CPUS},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
    }


def encoder_application(spec: EncoderSpec) -> Application:
    """Make the application; its one replica loads the model when Ray first asks whether it is well."""
    return _application(spec.name, partial(_load, spec.model), spec.collections)


def encoder_application_anywhere(base: str, collections: str | None) -> Application:
    """Make the application of an encoder whose model each replica finds, or fetches, on its own machine."""
    return _application(encoder_name(base), partial(_load_here, base), collections)


def _application(name: str, load: Callable[[], Encode], collections: str | None) -> Application:
    from ray import serve as ray_serve  # noqa: PLC0415  # Ray may only be imported after its environment is set

    deployment = ray_serve.deployment(name=ENCODER_DEPLOYMENT, **encoder_options())(EncoderDeployment)
    return deployment.bind(name, load, partial(_open_searcher, collections) if collections else None)


def _open_searcher(address: str, encoder: Encode) -> Search:
    from experts.cluster.collection_search import CollectionSearch  # noqa: PLC0415  # likewise

    return CollectionSearch(address, encoder.artifact)


def _load_here(base: str) -> Encode:
    return _load(resolve_encoder(base, default_store()))


def _load(model: Artifact) -> Encode:
    from experts.encoders.openvino import OpenVINOEncoder  # noqa: PLC0415  # its libraries, in the replica alone

    return OpenVINOEncoder(model)
