"""What an engine says that it honours is what it can."""

from experts.engines.factory import honoured_sampling


def test_only_openvino_keeps_to_a_grammar() -> None:
    assert honoured_sampling("openvino") - honoured_sampling("neuron") == {"constraint"}
    assert "temperature" in honoured_sampling("neuron")
