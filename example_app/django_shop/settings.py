"""The settings of the Django shop."""

from __future__ import annotations

import os
from typing import Any

from ..shop import pages

SECRET_KEY = pages.secret_key()
DEBUG = False
ALLOWED_HOSTS = [*pages.hosts(), "testserver"]
ROOT_URLCONF = "example_app.django_shop.urls"
WSGI_APPLICATION = "example_app.django_shop.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "django.contrib.messages",
    "pynamodb_alternator.contrib.django",
    "example_app.shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "example_app.django_shop.views.Shop",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [pages.TEMPLATES],
        "OPTIONS": {
            "environment": "example_app.django_shop.templating.environment",
            "context_processors": ["example_app.django_shop.templating.names"],
        },
    }
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [pages.STATIC]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
CSRF_FAILURE_VIEW = "example_app.django_shop.views.forbidden"
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
USE_TZ = True
USE_I18N = False

ALTERNATOR = {"default": {"URL": os.environ["ALTERNATOR_URL"]}} if "ALTERNATOR_URL" in os.environ else {}
SHOP_LOCAL_CLUSTER = None
"""The `LocalCluster` if the cluster is embedded, so that the dashboard can kill its nodes."""


def as_dict() -> dict[str, Any]:
    """All settings of this module, for code that configures Django in the process."""
    return {name: value for name, value in globals().items() if name.isupper()}
