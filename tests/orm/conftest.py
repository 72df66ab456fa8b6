"""Fixtures of the tests of models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pynamodb_alternator.orm import model, plain_models
from pynamodb_alternator.orm.instances import loader_of


@pytest.fixture(autouse=True, scope="package")
def our_functions_from_the_first_item_on() -> Iterator[None]:
    """PynamoDB makes the first instance of a class, as `loader_if_worthwhile` says. Here our functions make it too, so
    that a test may load one item only."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (model, plain_models):
            patch.setattr(module, "loader_if_worthwhile", loader_of)
        yield
