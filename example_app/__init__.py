"""A small shop on PynamoDB models and an Alternator cluster. ``make demo`` runs it on a local cluster.

`shop`: the tables, what a shop does, and a dashboard, without a framework. `flask_shop`, `django_shop` and
`fastapi_shop`: its web pages with each of these, from the same templates; the last one in an event loop. `demo`: all of
it on a local cluster, with customers, and nodes that die and freeze.
"""
