"""Django's commands for this shop: ``python -m example_app.django_shop runserver --insecure``."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_app.django_shop.settings")
execute_from_command_line([f"{sys.executable} -m example_app.django_shop", *sys.argv[1:]])
