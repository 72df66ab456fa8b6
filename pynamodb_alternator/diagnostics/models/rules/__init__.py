"""The rules of the check of models: each module has `RULES` and a function `check`, which the inspector calls."""
