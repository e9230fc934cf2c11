"""Ratings in an object store, an object each: for gateways on several machines, and on a root that cannot be written.

An object's name is made of the key and the answer, so a later opinion takes the earlier one's place, whichever gateway
takes it in.
"""

from collections.abc import Iterator
from dataclasses import asdict
from hashlib import blake2b
from typing import Any, Final

import orjson

from serve.feedback.rating import Rating, RatingsFailed

_SUFFIX: Final = ".rating.json"


class ObjectRatings:
    """Objects under a URL, by fsspec."""

    def __init__(self, url: str) -> None:
        """Take the place; nothing is reached yet.

        Raises:
            RatingsFailed: what the URL takes is not installed.
        """
        try:
            import fsspec  # noqa: PLC0415  # an extra: only a URL needs it

            self._files, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError):
            raise RatingsFailed("feedback.target needs pip install 'moegate[flywheel]'") from None
        self._path = str(path).rstrip("/")

    def put(self, rating: Rating) -> bool:
        """Put the object."""
        name = blake2b(f"{rating.key}\0{rating.response_id}".encode(), digest_size=16).hexdigest()
        path = f"{self._path}/{name}{_SUFFIX}"
        try:
            is_first = not self._files.exists(path)
            if is_first:
                self._files.makedirs(self._path, exist_ok=True)
            self._files.pipe_file(path, orjson.dumps(asdict(rating)))
        except Exception as error:
            raise RatingsFailed(type(error).__name__) from None
        return is_first

    def ratings(self) -> Iterator[Rating]:
        """By age."""
        found = [Rating(**orjson.loads(data)) for _, data in self._objects()]
        return iter(sorted(found, key=lambda rating: rating.at))

    def forget(self, *, key: str | None = None, response_id: str | None = None) -> int:
        """Delete objects."""
        meant = []
        for path, data in self._objects():
            one: dict[str, Any] = orjson.loads(data)
            if (key is not None and one["key"] == key) or one["response_id"] == response_id:
                meant.append(path)
        try:
            for path in meant:
                self._files.rm_file(path)
        except Exception as error:
            raise RatingsFailed(type(error).__name__) from None
        return len(meant)

    def close(self) -> None:
        """Nothing is open."""

    def _objects(self) -> Iterator[tuple[str, bytes]]:
        try:
            if not self._files.exists(self._path):
                return
            paths = [path for path in self._files.ls(self._path, detail=False) if str(path).endswith(_SUFFIX)]
            contents = self._files.cat(paths) if paths else {}
        except Exception as error:
            raise RatingsFailed(type(error).__name__) from None
        yield from contents.items()
