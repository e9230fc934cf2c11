"""Engine names to engines. The start code builds a replica's engine here, the engine process its pipeline.

A library is imported only where it runs: OpenVINO or Neuron's in the engine process, `openai` in the replica of an
`upstream` expert, nothing at all for `echo`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from experts.catalog.spec import EngineName, ExpertSpec
from experts.engine import Engine, Sampling
from experts.engines.batch import Pipeline
from experts.engines.wire import Weights


class UnsupportedEngine(Exception):
    """This engine does not exist yet, or its options are wrong; the message says which."""


def check_engine(spec: ExpertSpec) -> None:
    """Refuse an engine or options that could not start, before anything is deployed.

    Raises:
        UnsupportedEngine: naming the expert and what is wrong.
    """
    from pydantic import ValidationError

    try:
        _check_options(spec)
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise UnsupportedEngine(f"expert {spec.name!r}: engine_options: {details}") from error


def build_engine(spec: ExpertSpec, weights: Weights | None) -> Engine:
    """Build the engine of one replica; it loads nothing before its `start`.

    Raises:
        UnsupportedEngine: the engine is not available, or has no weights.
    """
    if spec.engine == "echo":
        from experts.engines.echo import EchoEngine

        return EchoEngine(spec)
    if spec.engine == "upstream":
        return _build_upstream(spec)
    from experts.engines.process import ProcessEngine

    if weights is None:
        raise UnsupportedEngine(f"expert {spec.name!r}: engine {spec.engine!r} needs weights")
    return ProcessEngine(spec, weights)


def load_pipeline(spec: ExpertSpec, weights: Weights) -> Pipeline:
    """Load the pipeline of a batching engine into this process.

    Raises:
        UnsupportedEngine: the engine has none.
    """
    if spec.engine == "openvino":
        from experts.engines.openvino import OpenVINOPipeline

        return OpenVINOPipeline(spec, weights.path)
    if spec.engine == "neuron":
        from experts.engines.neuron_model import load_neuron

        return load_neuron(spec, Path(weights.path))
    raise UnsupportedEngine(f"engine {spec.engine!r} has no pipeline")


def honoured_sampling(engine: EngineName) -> frozenset[str]:
    """Name the fields of `Sampling` that a batching engine honours; only OpenVINO's sampler keeps to a grammar."""
    return frozenset(Sampling.__dataclass_fields__) - ({"constraint"} if engine != "openvino" else set())


def _build_upstream(spec: ExpertSpec) -> Engine:
    if find_spec("openai") is None:
        raise UnsupportedEngine(f"expert {spec.name!r}: engine 'upstream' needs: pip install 'moegate[upstream]'")
    from experts.engines.upstream.engine import UpstreamEngine
    from experts.engines.upstream.options import UpstreamOptionsError

    try:
        return UpstreamEngine(spec)
    except UpstreamOptionsError as error:
        raise UnsupportedEngine(f"expert {spec.name!r}: {error}") from None


def _check_options(spec: ExpertSpec) -> None:
    if spec.engine == "neuron":
        from experts.neuron.shapes import ShapesWrong, shapes_of

        try:
            shapes_of(spec)
        except ShapesWrong as error:
            raise UnsupportedEngine(str(error)) from error
        return
    if spec.engine == "echo":
        from experts.engines.echo import EchoOptions

        EchoOptions.model_validate(spec.engine_options)
        return
    if spec.engine == "upstream":
        from experts.engines.upstream.options import UpstreamOptions

        UpstreamOptions.model_validate(spec.engine_options)
        return
    from experts.engines.openvino import OpenVINOOptions

    OpenVINOOptions.model_validate(spec.engine_options)
