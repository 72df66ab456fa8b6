"""Checks whether the methods that a short cut leaves out are still PynamoDB's own. The check is fast, and is made once
per answer.

A short cut is made for a class in its present state. Later a test may replace methods, defaults or whole attributes by
mocks. So each short cut has a `Snapshot` of everything from which it was made, and is used as long as nothing has
changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from operator import call, is_, itemgetter
from typing import Any

__all__ = ["Snapshot", "are_same", "hooks_of", "is_defined_in", "static_attribute"]

_Namespace = Mapping[str, Any]


class Snapshot:
    """The content of classes, modules and attributes at one moment, to check whether it has changed.

    First the `watch` methods say what it contains; then `take` makes it.
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
        # By the identity of their owners, because a class of the application may have its own equality.
        self._names: dict[int, tuple[_Namespace, set[str]]] = {}
        self._sizes: dict[int, _Namespace] = {}
        self._objects: list[tuple[_Namespace, list[str]]] = []
        self._states: list[dict[str, Any]] = []

    def watch_class(self, cls: type, names: Iterable[str], *, objects: bool = False) -> None:
        """Watch that the class inherits each of these names from the same class as now: no class before it in the order
        of classes may get the name.

        `objects`: whether the objects may have their own equality, like PynamoDB's attributes.
        """
        missing = {name for name in names if static_attribute(cls, name) is not None}
        for base in cls.__mro__[:-1]:  # `object` cannot change
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
        """Like `watch_namespace`, for objects with their own equality."""
        if several := list(names):
            self._objects.append((namespace, several))

    def watch_size(self, namespace: _Namespace) -> None:
        """Watch that no name is added to a namespace, and none is removed."""
        self._sizes[id(namespace)] = namespace

    def watch_state(self, state: dict[str, Any]) -> None:
        """Watch that a dict keeps equal values, and that no list among them is changed."""
        self._states.append(state)

    def take(self) -> None:
        """Store the present content of everything that is watched."""
        # Each kind of object is in lists of its own, which are compared in C, because each answer waits for this check.
        self._sized = list(self._sizes.values())
        self._lengths = list(map(len, self._sized))
        self._getters = [itemgetter(*names) for _, names in self._names.values()]
        self._namespaces = [namespace for namespace, _ in self._names.values()]
        self._seen = list(map(call, self._getters, self._namespaces))
        # The last name is there twice, because an itemgetter with one name does not return a tuple.
        self._object_getters = [itemgetter(*several, several[-1]) for _, several in self._objects]
        self._object_namespaces = [namespace for namespace, _ in self._objects]
        self._objects_seen = list(chain.from_iterable(map(call, self._object_getters, self._object_namespaces)))
        self._states_seen = [
            {name: list(value) if type(value) is list else value for name, value in state.items()}
            for state in self._states
        ]

    def holds(self) -> bool:
        """Whether nothing has changed."""
        try:
            return (
                list(map(len, self._sized)) == self._lengths
                and list(map(call, self._getters, self._namespaces)) == self._seen
                # Compared by identity: `==` of PynamoDB's attributes makes a condition.
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
    """The objects of a class with these names, without calls of descriptors; None for a name that it does not have."""
    return [static_attribute(owner, name) for name in names]


def are_same(these: list[Any], those: list[Any]) -> bool:
    """Whether both have the same objects."""
    return len(these) == len(those) and all(map(is_, these, those))


def is_defined_in(module: Any, hook: Any) -> bool:
    """Whether a function, or the function of a property, class method or static method, was defined in this module.

    A wrapper has the name of the function that it wraps, but not its globals.
    """
    for name in ("__func__", "fget"):
        hook = getattr(hook, name, hook)
    return getattr(hook, "__globals__", None) is vars(module)


def static_attribute(cls: type, name: str) -> Any:
    """The object of the class with this name, or None. Descriptors are not called."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return None
