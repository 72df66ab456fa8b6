"""The ASGI application, for uvicorn and similar servers."""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_app.django_shop.settings")
application = ASGIStaticFilesHandler(get_asgi_application())
