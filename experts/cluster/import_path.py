"""One expert, or the encoder, as a Ray Serve application by import path, for RayService on Kubernetes.

`serveConfigV2` (made by `experts.cluster.manifests`) names `experts.cluster.import_path:build` once an expert, with the
whole catalogue entry as its argument. A new artefact or prompt is a new argument, which Serve rolls out in place,
without a new cluster. `build_encoder` is the same of the encoder. On one machine `experts.app` does the same in its
own way. The pods set Ray's environment (`experts.cluster.ray_environment`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experts.catalog.spec import ExpertSpec
from experts.cluster.deployment import ExpertDeployment
from experts.cluster.deployment_options import DEPLOYMENT, deployment_options, find_weights
from experts.cluster.encoder_application import encoder_application_anywhere
from experts.engine import Engine
from experts.engines.factory import build_engine, check_engine

if TYPE_CHECKING:
    from ray.serve import Application


def build(args: dict[str, Any]) -> Application:
    """Build the application of the catalogue entry in `args["spec"]`."""
    from ray import serve as ray_serve  # noqa: PLC0415  # the generator of manifests imports this module without Ray

    spec = ExpertSpec.model_validate(args["spec"])
    check_engine(spec)
    deployment = ray_serve.deployment(name=DEPLOYMENT, **deployment_options(spec))(ExpertDeployment)
    return deployment.bind(spec, build_engine_here)


def build_encoder(args: dict[str, Any]) -> Application:
    """Build the encoder's application: `args` have its model, `base`, and the store that it searches."""
    return encoder_application_anywhere(args["base"], args.get("collections"))


def build_engine_here(spec: ExpertSpec) -> Engine:
    """Find the expert's weights on the replica's own machine, fetching what is not there, and build its engine."""
    return build_engine(spec, find_weights(spec))
