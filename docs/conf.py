"""Sphinx configuration: `make docs`."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for documenting.py

project = "pynamodb-alternator"
author = "The pynamodb-alternator authors"
copyright = "The pynamodb-alternator authors, Apache-2.0"
release = version = installed_version("pynamodb-alternator")

extensions = ["myst_parser", "sphinx.ext.autodoc", "documenting"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
nitpicky = True

html_theme = "furo"
html_title = f"pynamodb-alternator {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

# Docstrings write `name` for code.
default_role = "code"
add_module_names = False
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_inherit_docstrings = False
# It bounds botocore, and is not among what we develop with.
autodoc_mock_imports = ["aiobotocore"]
