"""The WSGI application, for gunicorn and the demo. It serves the static files too, because this is an example."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_app.django_shop.settings")
application = StaticFilesHandler(get_wsgi_application())
