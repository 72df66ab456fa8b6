from __future__ import annotations

import os

SECRET_KEY = "a test's"
DEBUG = False
USE_TZ = True
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "tests.contrib.django_project.urls"
INSTALLED_APPS = ["pynamodb_alternator.contrib.django", "tests.contrib.django_project.shop"]
MIDDLEWARE: list[str] = []
DATABASES: dict[str, object] = {}

if "SHOP_URL" in os.environ:
    ALTERNATOR = {"default": {"URL": os.environ["SHOP_URL"]}, "archive": {"LOCATION": os.environ["SHOP_URL"]}}
