"""What may change while a gateway serves, and whom a change concerns. `serve.app` hands the parts in."""

import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experts.catalog.prices import PriceList, default_prices_path, load_prices
from experts.catalog.renewal import renewed
from experts.catalog.spec import Catalog, default_path, load_catalog
from protos import chat_pb2 as chat
from serve.access.keys import KeyRing, load_keys
from serve.access.tls import ShowsCertificate, check_pair
from serve.costs.ledger import Ledger, price_book
from serve.gateway import Gateway
from serve.live.watch import Source
from serve.settings.access import AccessSettings, KeySettings
from serve.settings.doors import TlsSettings
from serve.settings.tree import Settings, SettingsError
from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.in_force import GuardRules
from serve.steps.toolsets.in_force import Toolsets

if TYPE_CHECKING:
    from serve.routing.router_trial import RouterTrial
    from serve.routing.trials import Trials


def keys_source(settings: AccessSettings, ring: KeyRing) -> Source:
    """The file of keys, if there is one: a key that is taken out is refused from its next request on."""

    def take_up(keys: tuple[KeySettings, ...]) -> tuple[str, ...]:
        ring.replace(keys)
        return ()

    paths = () if settings.keys_file is None else (settings.keys_file,)
    return Source("keys", paths, lambda: load_keys(settings), take_up)


def certificate_source(settings: TlsSettings, doors: Sequence[ShowsCertificate]) -> Source:
    """The doors' certificate, if there is one: a renewed one is shown to connections that come after.

    `tls.client_ca` is read at start alone: an authority that is taken out of it must not go on being trusted unseen.
    """

    def take_up(_: None) -> tuple[str, ...]:
        try:
            for door in doors:
                door.show_certificate()
        except (OSError, ssl.SSLError) as error:  # changed again since it was checked
            raise SettingsError(f"tls: {settings.certificate}: {error}") from None
        return ()

    pair = (settings.certificate, settings.key)
    return Source("certificate", tuple(one for one in pair if one), lambda: check_pair(settings), take_up)


def catalog_source(settings: Settings, gateway: Gateway, ledger: Ledger) -> Source:
    """The catalogue and the price list: prices, canaries' shares, what is said of an expert.

    A request that has begun is charged at the prices under which it began: its record holds their book.
    """

    def read() -> tuple[Catalog, PriceList]:
        prices = load_prices(settings.cost.prices)
        catalog = load_catalog(settings.experts.catalog, prices)
        price_book(renewed(gateway.catalog, catalog)[0], prices, settings.cost)
        return catalog, prices

    def take_up(found: tuple[Catalog, PriceList]) -> tuple[str, ...]:
        catalog, waiting = renewed(gateway.catalog, found[0])
        book = price_book(catalog, found[1], settings.cost)
        ledger.reprice(book)
        gateway.renew(catalog, book)
        return waiting

    files = (settings.experts.catalog or default_path(), settings.cost.prices or default_prices_path())
    return Source("catalog", files, read, take_up)


def guard_source(rules: GuardRules | None) -> Source:
    """The guard's file of rules, if there is one: a request that has begun keeps the rules that it began with."""
    if rules is None:
        return Source("guard", (), tuple, lambda _: ())

    def take_up(found: RuleSet) -> tuple[str, ...]:
        rules.take_up(found)
        return ()

    return Source("guard", (rules.path,), rules.read, take_up)


def toolsets_source(toolsets: Toolsets | None) -> Source:
    """The file of tool sets, if there is one: a request that has begun keeps the tools that it began with."""
    if toolsets is None:
        return Source("toolsets", (), tuple, lambda _: ())

    def take_up(found: Mapping[str, tuple[chat.Tool, ...]]) -> tuple[str, ...]:
        toolsets.take_up(found)
        return ()

    return Source("toolsets", (toolsets.path,), toolsets.read, take_up)


def trials_source(trials: "Trials | None", gateway: Gateway) -> Source:
    """Who is on trial, at which share: it is over here or at another gateway or worker, or the registry says so."""
    if trials is None:
        return Source("trials", (), frozenset, lambda _: ())
    trials.on_end = lambda: gateway.take(gateway.catalog)
    return Source("trials", trials.paths, trials.read, trials.take_up)


def router_trial_source(trial: "RouterTrial | None") -> Source:
    """Which router is on trial, at which share."""
    if trial is None:
        return Source("router trial", (), frozenset, lambda _: ())
    return Source("router trial", trial.paths, trial.read, trial.take_up, begins=True)
