"""Go's pseudo-random generator (math/rand). Only the numbers that a query plan uses are computed.

It is an additive lagged Fibonacci generator with 607 slots. Each slot is made from three successive numbers of the
sequence ``x -> 48271 * x mod 2**31 - 1`` that starts at the seed. The number at any step is ``seed * 48271**step``
modulo 2**31 - 1, so each slot is made when it is first needed. All of ScyllaDB's Alternator drivers use this generator.
So drivers with equal rings make the same query plan for a key (vectors: ``query-plan.tsv``).
"""

from __future__ import annotations

from collections.abc import Callable

from ._go_constants import COOKED

__all__ = ["first_below", "generator"]

_SLOTS = 607
_TAP_DISTANCE = 273
_MODULUS = (1 << 31) - 1
_STEP = 48271
_SEED_INSTEAD_OF_ZERO = 89482311
_WARM_UP_STEPS = 20


def _slot_factors() -> tuple[int, ...]:
    """For each slot, the factor by which the seed is multiplied to get the first of the slot's three numbers."""
    factor = pow(_STEP, _WARM_UP_STEPS + 1, _MODULUS)
    three_steps = pow(_STEP, 3, _MODULUS)
    factors = []
    for _ in range(_SLOTS):
        factors.append(factor)
        factor = factor * three_steps % _MODULUS
    return tuple(factors)


_FACTORS = _slot_factors()


def _slot(seed: int, index: int) -> int:
    """The content of a slot before the first draw. It may have more than 64 bits: every use masks the others."""
    x = seed * _FACTORS[index] % _MODULUS
    y = x * _STEP % _MODULUS
    return x << 40 ^ y << 20 ^ (y * _STEP % _MODULUS) ^ COOKED[index]


def _int31s(seed: int) -> Callable[[], int]:
    """A function that returns the generator's successive `Int31` numbers, from 0 to 2**31 - 1."""
    seed = seed % _MODULUS or _SEED_INSTEAD_OF_ZERO
    written: dict[int, int] = {}
    tap, feed = 0, _SLOTS - _TAP_DISTANCE

    def draw() -> int:
        nonlocal tap, feed
        tap = (tap or _SLOTS) - 1
        feed = (feed or _SLOTS) - 1
        left, right = written.get(feed), written.get(tap)
        total = (_slot(seed, feed) if left is None else left) + (_slot(seed, tap) if right is None else right)
        written[feed] = total & 0xFFFF_FFFF_FFFF_FFFF
        return total >> 32 & _MODULUS

    return draw


def generator(seed: int) -> Callable[[int], int]:
    """A function like Go's ``rand.New(rand.NewSource(seed)).Intn``: called with n, it returns a number from 0 to n - 1.

    n is from 1 to 2**31 - 1. One number is drawn even for n == 1, as Go does.
    """
    draw = _int31s(seed)

    def below(n: int) -> int:
        number = draw()
        if n & (n - 1) == 0:
            return number & (n - 1)
        # Above this limit some remainders would be likelier than others.
        limit = _MODULUS - (1 << 31) % n
        while number > limit:
            number = draw()
        return number % n

    return below


def first_below(seed: int, n: int) -> int:
    """The first number that ``generator(seed)(n)`` returns, computed without a generator.

    It is for plans of which only the first node is needed, such as the votes of a batch.
    """
    if n == 1:
        return 0
    x = seed % _MODULUS or _SEED_INSTEAD_OF_ZERO
    number = _slot(x, _SLOTS - _TAP_DISTANCE - 1) + _slot(x, _SLOTS - 1) >> 32 & _MODULUS
    if n & (n - 1) == 0:
        return number & (n - 1)
    if number > _MODULUS - (1 << 31) % n:
        return generator(seed)(n)
    return number % n
