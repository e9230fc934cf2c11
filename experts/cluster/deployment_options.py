"""What a catalogue entry means to Ray Serve: the options of its deployment, and the weights its replicas load."""

from typing import Any

from experts.artifacts.store import default_store
from experts.catalog.spec import ExpertSpec
from experts.compilation.prepare import prepare_expert
from experts.engines.wire import Weights

SERVICER = "protos.expert_pb2_grpc.add_ExpertServicer_to_server"


DEPLOYMENT = "expert"


SPARE_CALLS = 16  # so that Describe is answered, and the engine refuses in its own words, when everything is full


LOOK_BACK_S = 11.0  # seconds of load that a decision averages; Ray wants more than 10


def deployment_options(spec: ExpertSpec) -> dict[str, Any]:
    """Translate a catalogue entry into the options of a Ray Serve deployment."""
    scaling = spec.scaling
    options: dict[str, Any] = {
        "max_ongoing_requests": spec.max_batch_size + spec.max_queue_len + SPARE_CALLS,
        "health_check_period_s": 5,
        "health_check_timeout_s": 10,
        "graceful_shutdown_timeout_s": 3,
        "graceful_shutdown_wait_loop_s": 0.2,
        "ray_actor_options": {"num_cpus": spec.resources.num_cpus, "resources": dict(spec.resources.custom)},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
    }
    if scaling.is_fixed:
        return options | {"num_replicas": scaling.min_replicas}
    return options | {
        "graceful_shutdown_timeout_s": scaling.drain_s,
        "autoscaling_config": {
            "min_replicas": scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "target_ongoing_requests": scaling.target_ongoing or spec.max_batch_size,
            "upscale_delay_s": scaling.upscale_delay_s,
            "downscale_delay_s": scaling.downscale_delay_s,
            "look_back_period_s": max(LOOK_BACK_S, scaling.upscale_delay_s),
        },
    }


def find_weights(spec: ExpertSpec) -> Weights | None:
    """Find or make what the expert's replicas load, so that they only load."""
    if not spec.has_weights:
        return None
    store = default_store()
    artifact = prepare_expert(spec, "neuron" if spec.engine == "neuron" else "cpu", store)
    if spec.engine == "openvino":
        artifact = store.own(artifact)  # OpenVINO GenAI opens a GGUF file for writing, which an image's may not be
    return Weights(str(artifact.path), artifact.sha256)
