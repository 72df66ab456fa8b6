"""Sphinx configuration: `make docs`."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "pynamodb-alternator"
author = "The pynamodb-alternator authors"
copyright = "The pynamodb-alternator authors, Apache-2.0"
release = version = installed_version("pynamodb-alternator")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = f"pynamodb-alternator {release}"

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

# Docstrings write `name` for code.
default_role = "code"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_inherit_docstrings = False
# It bounds botocore, and is not among what we develop with.
autodoc_mock_imports = ["aiobotocore"]
