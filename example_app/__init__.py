"""A small shop on PynamoDB models and an Alternator cluster, twice. ``make demo`` runs it on a local cluster.

`shop`: the tables, what a shop does, and a dashboard; no framework. `flask_shop` and `django_shop`: its web pages with
Flask and with Django, from the same templates. `demo`: all of it on a local cluster, with a node that dies.
"""
