"""The severities of findings of the check of models, and the levels at which the check fails.

A module of its own, so that commands can name the levels in their options without loading the check.
"""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["FAIL_LEVELS", "SEVERITIES", "FailLevel", "ModelSeverity"]

ModelSeverity = Literal["error", "warning", "note"]
FailLevel = Literal["error", "warning", "note", "never"]
SEVERITIES: Final[tuple[ModelSeverity, ...]] = ("error", "warning", "note")
"""The most severe first."""
FAIL_LEVELS: Final[tuple[FailLevel, ...]] = (*SEVERITIES, "never")
