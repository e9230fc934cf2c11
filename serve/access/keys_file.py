"""The keys' file as `moegate key` changes it: an entry more or less, everything else of the file as it was.

Comments and order stay, because a change is one of lines and not a new file. The result is read again before it takes
the old one's place, and the place is taken at once: a gateway that reads meanwhile sees the file before or after.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from serve.access.keys import load_keys
from serve.settings.access import AccessSettings, KeySettings
from serve.settings.tree import SettingsError


def entry_text(key: KeySettings, indent: int = 0) -> str:
    """Write a key's entry as a YAML list's item, without what is left to its default."""
    content = key.model_dump(exclude_defaults=True)
    lines = yaml.safe_dump(content, sort_keys=False).splitlines()
    return "".join(f"{' ' * indent}{'- ' if at == 0 else '  '}{line}\n" for at, line in enumerate(lines))


def read(path: Path) -> tuple[KeySettings, ...]:
    """Read the keys of a file; none where there is no file yet.

    Raises:
        SettingsError: it cannot be used.
    """
    return load_keys(AccessSettings(keys_file=path)) if path.exists() and path.stat().st_size else ()


def add(path: Path, key: KeySettings) -> None:
    """Add a key.

    Raises:
        SettingsError: its name is taken, or the file cannot be used.
        OSError: the file cannot be written.
    """
    with _locked(path):
        keys = read(path)
        if any(other.name == key.name for other in keys):
            raise SettingsError(f"{path}: there is a key {key.name!r} already; revoke it first")
        _replace(path, _with(path, key) if path.exists() else entry_text(key), (*keys, key))


def revoke(path: Path, name: str) -> None:
    """Take a key out.

    Raises:
        SettingsError: there is none of that name, or the file cannot be used.
        OSError: the file cannot be written.
    """
    with _locked(path):
        keys = read(path)
        if all(key.name != name for key in keys):
            raise SettingsError(f"{path}: there is no key {name!r}; there are {', '.join(key.name for key in keys)}")
        left = tuple(key for key in keys if key.name != name)
        _replace(path, _without(path, name), left)


def _with(path: Path, key: KeySettings) -> str:
    """Put an entry behind the last one."""
    text = path.read_text("utf-8")
    items = _items(text)
    if items is None or items.flow_style or not items.value:
        return ""
    lines = text.splitlines(keepends=True)
    indent, end = items.start_mark.column, _end(items.value[-1], lines)
    if end and not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    return "".join([*lines[:end], entry_text(key, indent), *lines[end:]])


def _without(path: Path, name: str) -> str:
    """Leave an entry's lines out."""
    text = path.read_text("utf-8")
    items = _items(text)
    if items is None or items.flow_style or len(items.value) < 2:
        return ""
    lines = text.splitlines(keepends=True)
    for item in items.value:
        if any(key.value == "name" and value.value == name for key, value in item.value):
            return "".join([*lines[: item.start_mark.line], *lines[_end(item, lines) :]])
    return ""


def _items(text: str) -> yaml.SequenceNode | None:
    """Find the list of entries: the file itself, or what stands under `keys`."""
    node = yaml.compose(text, yaml.SafeLoader)
    if isinstance(node, yaml.MappingNode):
        node = next((value for key, value in node.value if key.value == "keys"), None)
    return node if isinstance(node, yaml.SequenceNode) else None


def _end(item: yaml.Node, lines: list[str]) -> int:
    """Return the line after an item's last one; comments and blank lines below it are not its own."""
    is_flow = isinstance(item, yaml.CollectionNode) and item.flow_style
    is_here = is_flow or (item.end_mark.line == len(lines) - 1 and not lines[-1].endswith("\n"))
    end = item.end_mark.line + bool(is_here)  # a block ends where the next thing begins, a flow with its brace
    while end > item.start_mark.line + 1 and lines[end - 1].lstrip()[:1] in ("", "#"):
        end -= 1
    return end


def _replace(path: Path, text: str, wanted: tuple[KeySettings, ...]) -> None:
    """Put the new text in the file's place, or a plain list where the text does not say what is wanted."""
    plain = "".join(map(entry_text, wanted)) or "[]\n"
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    draft, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(draft, "w", encoding="utf-8") as file:
            file.write(text or plain)
        if text and _keys_in(Path(name)) != wanted:
            Path(name).write_text(plain, encoding="utf-8")
        os.chmod(name, mode)
        os.replace(name, path.resolve())
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _keys_in(path: Path) -> tuple[KeySettings, ...] | None:
    try:
        return read(path)
    except SettingsError:
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one command at a time change the files of a folder."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
