"""A small shop on PynamoDB models and an Alternator cluster. ``make demo`` runs it on a local cluster.

`shop`: the tables, the functions of a shop, and a dashboard, without a framework. `flask_shop`, `django_shop` and
`fastapi_shop`: the web pages of the shop with each framework, from the same templates; FastAPI runs in an event loop.
`demo`: the shop on a local cluster, with customers, and with nodes that die and freeze.
"""
