"""The Trainium trainer's calls (`experts/training/neuron.py`), bound to optimum-neuron 0.4.5 as it is installed."""

import ast
import importlib.metadata

from tests.neuron.installed import ROOT, bind, dataclass_fields, definition, named_calls, our_calls, signature

OURS = "experts/training/neuron.py"


def keywords(call: ast.Call) -> set[str]:
    return {str(keyword.arg) for keyword in call.keywords if keyword.arg is not None}


def test_the_arguments_are_fields_that_exist() -> None:
    fields = dataclass_fields("trainers/training_args.py", "NeuronTrainingArguments")
    for call in named_calls(OURS, "NeuronTrainingArguments"):
        assert keywords(call) - fields == set()


def test_the_sft_configuration_adds_only_trl_s_own_fields() -> None:
    [call] = named_calls(OURS, "NeuronSFTConfig")
    assert keywords(call) <= {"max_length", "packing"}  # trl 0.24's SFTConfig, which the class inherits


def test_the_trainer_binds() -> None:
    trainer = signature("trainers/sft_trainer.py", "NeuronSFTTrainer.__init__")
    for call in named_calls(OURS, "NeuronSFTTrainer"):
        bind(ast.Call(call.func, [ast.Constant("self"), *call.args], call.keywords), trainer)


def test_the_names_that_are_imported_are_exported() -> None:
    text = (ROOT / OURS).read_text()
    import optimum.neuron

    for name in ("NeuronSFTConfig", "NeuronSFTTrainer", "NeuronTrainingArguments"):
        assert name in text
        assert name in optimum.neuron._import_structure["trainers"]


def test_the_consolidation_command_takes_a_folder_and_a_target() -> None:
    node = definition("../commands/neuron/subcommands.py", "ConsolidateCommand")
    told = [
        n.args[0].value
        for n in ast.walk(node)
        if isinstance(n, ast.Call)
        and getattr(n.func, "attr", "") == "add_argument"
        and isinstance(n.args[0], ast.Constant)
    ]
    assert told[:2] == ["checkpoint_dir", "output_dir"]


def test_the_training_extra_is_what_the_image_installs() -> None:
    wanted = {r.split(";")[0].strip() for r in importlib.metadata.requires("optimum-neuron") or () if '"training"' in r}
    file = (ROOT / "deploy" / "Dockerfile.training").read_text()
    for pin in ("trl==0.24.0", "peft==0.17.0"):
        assert pin in wanted
        assert pin in file
    assert our_calls(OURS, "train")
