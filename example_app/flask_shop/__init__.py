"""The web pages of the shop with Flask: ``flask --app example_app.flask_shop run``.

Set ``ALTERNATOR_URL`` to a node of the cluster, or let ``make demo`` start one.
"""

from .app import create_app, dashboard_of

__all__ = ["create_app", "dashboard_of"]
