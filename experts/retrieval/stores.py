"""Which store an address means; the libraries are imported only where one is opened."""

from __future__ import annotations

from experts.retrieval.store import Store, StoreError


def open_store(address: str) -> Store:
    """Open a store.

    Args:
        address: a folder, or an object store's `s3://BUCKET/PATH`.

    Raises:
        StoreError: it cannot be opened, or its library is not installed.
    """
    try:
        from experts.retrieval.lance_store import LanceStore  # noqa: PLC0415
    except ImportError as error:
        raise StoreError("a store needs: pip install 'moegate[retrieval]'") from error
    return LanceStore(address)
