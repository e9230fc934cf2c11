"""What `moegate flywheel` works on: what is kept, beside what was thought of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from experts.flywheel.changes import Changes, RegistryError
from experts.flywheel.interaction import Interaction, Opinion
from serve.feedback.rating import RatingsFailed, RatingStore
from serve.feedback.store import open_ratings
from serve.interactions import segments
from serve.interactions.joined import by_response
from serve.interactions.stores import StoreFailed, open_segments
from serve.live.remote.registries import EXPERTS, open_registry
from serve.settings.tree import Settings, SettingsError


@contextmanager
def opened_ratings(settings: Settings) -> Iterator[RatingStore]:
    """The ratings, for as long as they are needed; what fails meanwhile, of them or of the interactions, is told.

    Raises:
        SettingsError: a store failed.
    """
    try:
        store = open_ratings(settings.feedback)
        try:
            yield store
        finally:
            store.close()
    except StoreFailed as error:
        raise SettingsError(f"the interactions cannot be read or written: {error}") from None
    except RatingsFailed as error:
        raise SettingsError(f"the ratings cannot be read or written: {error}") from None


def registry_of(settings: Settings, name: str, kind: str = EXPERTS) -> Changes:
    """A registry, wherever the settings say that it is kept.

    Raises:
        SettingsError: it cannot be reached.
    """
    try:
        return open_registry(settings.flywheel, name, kind)
    except RegistryError as error:
        raise SettingsError(f"the registry of {name}: {error}") from None


def interactions(settings: Settings, ratings: RatingStore) -> Iterator[Interaction]:
    """Every kept answer beside its opinions."""
    known = by_response(ratings.ratings())
    for row in segments.rows(open_segments(settings.interactions)):
        opinions = tuple(
            Opinion(one.rating, one.better_expert, one.correction) for one in known.get(row["response"]["id"], ())
        )
        yield Interaction(row, opinions)
