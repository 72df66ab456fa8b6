"""The check whether the methods that a short cut leaves out are still PynamoDB's own. It is made once per answer, at
little cost.

A short cut is made for a class as it is at that moment. Afterwards a test may put mocks in place of methods, defaults
or whole attributes. So each short cut has a `Snapshot` of all that it was made from, and is used as long as that holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from operator import call, is_, itemgetter
from typing import Any

__all__ = ["Snapshot", "are_same", "hooks_of", "is_defined_in", "static_attribute"]

_Namespace = Mapping[str, Any]


class Snapshot:
    """What classes, modules and attributes had when it was taken, and whether they have it still.

    First it is told what to look at; `take` ends this.
    """

    __slots__ = (
        "_getters",
        "_lengths",
        "_names",
        "_namespaces",
        "_object_getters",
        "_object_namespaces",
        "_objects",
        "_objects_seen",
        "_seen",
        "_sized",
        "_sizes",
        "_states",
        "_states_seen",
    )

    def __init__(self) -> None:
        # By the identity of what they belong to, because a class of the application may compare in its own way.
        self._names: dict[int, tuple[_Namespace, set[str]]] = {}
        self._sizes: dict[int, _Namespace] = {}
        self._objects: list[tuple[_Namespace, list[str]]] = []
        self._states: list[dict[str, Any]] = []

    def watch_class(self, cls: type, names: Iterable[str], *, objects: bool = False) -> None:
        """Watch that the class inherits each of these names from the same class as now: no class before that may get
        the name.

        `objects`: these may compare in their own way, as PynamoDB's attributes do.
        """
        missing = {name for name in names if static_attribute(cls, name) is not None}
        for base in cls.__mro__[:-1]:  # nobody changes `object`
            here = missing & vars(base).keys()
            missing -= here
            if objects:
                self.watch_objects(vars(base), here)
            elif here:
                self.watch_namespace(base, here)
            if not missing:
                return
            self._sizes[id(base)] = vars(base)

    def watch_namespace(self, owner: Any, names: Iterable[str]) -> None:
        """Watch that a class or module has the same objects under these names."""
        self._names.setdefault(id(owner), (vars(owner), set()))[1].update(names)

    def watch_objects(self, namespace: _Namespace, names: Iterable[str]) -> None:
        """The same for objects with an equality of their own."""
        if several := list(names):
            self._objects.append((namespace, several))

    def watch_size(self, namespace: _Namespace) -> None:
        """Watch that no name is added to a namespace, and none is removed."""
        self._sizes[id(namespace)] = namespace

    def watch_state(self, state: dict[str, Any]) -> None:
        """Watch that a dict keeps equal values, and that no list among them is changed."""
        self._states.append(state)

    def take(self) -> None:
        """Keep what there is to see now."""
        # Each kind of thing in lists of its own, which C code goes through: each answer is held up by this.
        self._sized = list(self._sizes.values())
        self._lengths = list(map(len, self._sized))
        self._getters = [itemgetter(*names) for _, names in self._names.values()]
        self._namespaces = [namespace for namespace, _ in self._names.values()]
        self._seen = list(map(call, self._getters, self._namespaces))
        # Twice the last one, because an itemgetter of one name gives no tuple.
        self._object_getters = [itemgetter(*several, several[-1]) for _, several in self._objects]
        self._object_namespaces = [namespace for namespace, _ in self._objects]
        self._objects_seen = list(chain.from_iterable(map(call, self._object_getters, self._object_namespaces)))
        self._states_seen = [
            {name: list(value) if type(value) is list else value for name, value in state.items()}
            for state in self._states
        ]

    def holds(self) -> bool:
        """Whether all of it is as it was."""
        try:
            return (
                list(map(len, self._sized)) == self._lengths
                and list(map(call, self._getters, self._namespaces)) == self._seen
                # Not by comparing: PynamoDB's attributes make a condition of it.
                and all(
                    map(
                        is_,
                        chain.from_iterable(map(call, self._object_getters, self._object_namespaces)),
                        self._objects_seen,
                    )
                )
                and self._states == self._states_seen
            )
        except Exception:
            return False


def hooks_of(owner: Any, names: Iterable[str]) -> list[Any]:
    """What a class has under each of the names, as it stands there; None for what it does not have."""
    return [static_attribute(owner, name) for name in names]


def are_same(these: list[Any], those: list[Any]) -> bool:
    """Whether both have the same objects."""
    return len(these) == len(those) and all(map(is_, these, those))


def is_defined_in(module: Any, hook: Any) -> bool:
    """Whether a function, or what a property, class method or static method calls, was defined in this module.

    A wrapper has the name of what it wraps, but not its globals.
    """
    for name in ("__func__", "fget"):
        hook = getattr(hook, name, hook)
    return getattr(hook, "__globals__", None) is vars(module)


def static_attribute(cls: type, name: str) -> Any:
    """What stands in the class under this name, or None: descriptors are not asked."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return None
