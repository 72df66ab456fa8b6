"""Which engine the setting `engine` means."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster


@pytest.mark.parametrize("engine", ["mongo", 7, "http://", "http://a/b"])
def test_wrong_engines_are_refused(engine: Any) -> None:
    with pytest.raises(ConfigurationError, match="engine"):
        LocalCluster(1, engine=engine).start()
