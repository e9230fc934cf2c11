"""Which store an address means; the libraries are imported only where one is opened."""

from __future__ import annotations

from typing import Final

from experts.retrieval.store import Store, StoreError

QDRANT: Final = "qdrant:"


def open_store(address: str) -> Store:
    """Open a store.

    Args:
        address: a folder, an object store's `s3://BUCKET/PATH`, or `qdrant:` and a server's URL (or a folder).

    Raises:
        StoreError: it cannot be opened, or its library is not installed.
    """
    if address.startswith(QDRANT):
        try:
            from experts.retrieval.qdrant_store import QdrantStore  # noqa: PLC0415
        except ImportError as error:
            raise StoreError("a store in Qdrant needs: pip install 'moegate[encoder,qdrant]'") from error
        return QdrantStore(address.removeprefix(QDRANT))
    try:
        from experts.retrieval.lance_store import LanceStore  # noqa: PLC0415
    except ImportError as error:
        raise StoreError("a store needs: pip install 'moegate[retrieval]'") from error
    return LanceStore(address)
