"""For the tests of a Django project: every alias means an embedded cluster with the models' tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ... import registry
from ...errors import ConfigurationError
from ...orm import model_tables as tables
from .._local import drop_tables, settings_for
from .._safety import Hosts, Words, safe
from .checks import installed_models
from .conf import SETTING, aliases

if TYPE_CHECKING:
    from pynamodb.models import Model

    from ...local import LocalCluster

__all__ = ["AlternatorTestMixin"]

_WORDS = Words(
    whose="tests with AlternatorTestMixin",
    aliases=f"'default', or one of settings.{SETTING}",
    allow="in the class of the test: alternator_allow_hosts = ['{}']",
)


class AlternatorTestMixin:
    """Put it before Django's class: ``class ShopTests(AlternatorTestMixin, TestCase)``.

    The tests of the class run on a `LocalCluster` of their own, and every alias of ``settings.ALTERNATOR`` means this
    cluster. Before each test the tables are created. After the test they are dropped, and dead nodes are revived. If
    you write a `setUp`, it must call ``super().setUp()``.

    `alternator_models`: the models whose tables are made; by default all models that the installed applications define.
    `alternator_options`: the arguments of `LocalCluster`, such as ``{"nodes": 5}``.
    `alternator_allow_hosts`: other addresses to which clusters may connect: hosts such as ``"10.0.0.1"``,
    ``"10.0.0.1:8000"``, ``"*.test.example"``, or networks such as ``"10.0.0.0/8"``. Any other address raises
    `BlockedConnectionError`, which names the setting with the address.
    `alternator_cluster`: the `LocalCluster`, with its fault controls.
    """

    alternator_models: ClassVar[Sequence[type[Model]] | None] = None
    alternator_options: ClassVar[Mapping[str, Any]] = {}
    alternator_allow_hosts: ClassVar[Sequence[str]] = ()
    alternator_cluster: ClassVar[LocalCluster]

    if TYPE_CHECKING:
        enterClassContext: Callable[..., Any]
        enterContext: Callable[..., Any]
        addCleanup: Callable[..., None]

    @classmethod
    def setUpClass(cls) -> None:
        from ...local import LocalCluster

        if not hasattr(cls, "enterClassContext"):
            raise ConfigurationError(
                f"{cls.__qualname__}: AlternatorTestMixin goes before Django's class, as in "
                f"class {cls.__name__}(AlternatorTestMixin, TestCase)."
            )
        hosts = _hosts(cls.alternator_allow_hosts, f"{cls.__qualname__}.alternator_allow_hosts")
        cluster = cls.enterClassContext(LocalCluster(**cls.alternator_options))
        cls.alternator_cluster = cluster
        cls.enterClassContext(safe(cluster.port, hosts, _WORDS))
        cls.enterClassContext(registry.replaced(cls._alternator_aliases()))
        super().setUpClass()  # type: ignore[misc]

    @classmethod
    def _alternator_aliases(cls) -> dict[str, Any]:
        return dict.fromkeys(["default", *aliases()], settings_for(cls.alternator_cluster))

    def setUp(self) -> None:
        # Each test has new clients, for which no node was ever down.
        self.enterContext(registry.replaced(self._alternator_aliases()))
        super().setUp()  # type: ignore[misc]
        made: list[str] = []
        self.addCleanup(drop_tables, self.alternator_cluster, made)
        for model in installed_models() if self.alternator_models is None else self.alternator_models:
            if tables.create_table(model):
                made.append(model.Meta.table_name)


def _hosts(entries: object, setting: str) -> Hosts:
    """The value of ``alternator_allow_hosts``. Raises `ConfigurationError`."""
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        raise ConfigurationError(f"{setting} must be a list of hosts, such as ['10.0.0.1:8000'] (got {entries!r}).")
    return Hosts.of(entries, setting)
