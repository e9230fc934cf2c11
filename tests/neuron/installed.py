"""What is installed, read without being imported: most of optimum-neuron cannot be imported without the Neuron SDK.

A class or function is cut out of its file and, where it needs nothing of the SDK, run; else its signature is rebuilt
from its source, and our own calls, cut out of our source likewise, are bound to it.
"""

import ast
import importlib.util
import inspect
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def source(path: str) -> ast.Module:
    """The syntax tree of a file of optimum-neuron, its path below optimum/neuron."""
    spec = importlib.util.find_spec("optimum.neuron")
    assert spec is not None
    assert spec.origin is not None
    return ast.parse((Path(spec.origin).parent / path).read_text())


def definition(path: str, name: str) -> ast.stmt:
    """A class, a function, or a `Class.method` of a file."""
    body = source(path).body
    found: Any = None
    for part in name.split("."):
        found = next(n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == part)
        body = found.body
    assert isinstance(found, ast.stmt)
    return found


def signature(path: str, name: str) -> inspect.Signature:
    """The signature of a function that cannot be imported; defaults are there, their values are not."""
    function = definition(path, name)
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if argument is not None:
            argument.annotation = None
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [d and ast.Constant(None) for d in arguments.kw_defaults]
    bare = ast.FunctionDef(name="f", args=arguments, body=[ast.Pass()], decorator_list=[], returns=None)
    namespace: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(ast.Module([bare], [])), path, "exec"), namespace)
    return inspect.signature(namespace["f"])


def run_definition(path: str, name: str, **namespace: Any) -> Any:
    """Execute one class or function of a file, with the names it needs handed in."""
    node = definition(path, name)
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef | ast.arg):
            setattr(part, "returns" if isinstance(part, ast.FunctionDef) else "annotation", None)
    exec(compile(ast.Module([node], []), path, "exec"), namespace)
    return namespace[name.rsplit(".", 1)[-1]]


def our_calls(path: str, attribute: str) -> list[ast.Call]:
    """The calls of `something.attribute(...)` in one of our files; there is at least one."""
    tree = ast.parse((ROOT / path).read_text())
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == attribute
    ]
    assert found, f"{path} no longer calls {attribute}"
    return found


def bind(call: ast.Call, to: inspect.Signature) -> inspect.BoundArguments:
    """Bind a call of ours; a TypeError is the contract broken."""
    assert not any(isinstance(argument, ast.Starred) for argument in call.args)
    names = [keyword.arg for keyword in call.keywords]
    assert None not in names
    return to.bind(*call.args, **{str(name): None for name in names})


def named_calls(path: str, name: str) -> list[ast.Call]:
    """The calls of `name(...)` in one of our files; there is at least one."""
    tree = ast.parse((ROOT / path).read_text())
    found = [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name
    ]
    assert found, f"{path} no longer calls {name}"
    return found


def dataclass_fields(path: str, name: str) -> set[str]:
    """The fields of a dataclass that cannot be imported."""
    node = definition(path, name)
    assert isinstance(node, ast.ClassDef)
    return {n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
