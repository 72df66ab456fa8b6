"""The web pages of the shop with FastAPI: ``uvicorn --factory example_app.fastapi_shop:create_app``.

Set ``ALTERNATOR_URL`` to a node of the cluster, or let ``make demo SHOP=fastapi`` start one.

`app`: the application, from its start to its end. `routes`: the pages. `visits`: finds out who a visitor is, and which
forms are accepted.
"""

from .app import create_app, dashboard_of

__all__ = ["create_app", "dashboard_of"]
