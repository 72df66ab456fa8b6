"""A small shop on PynamoDB models and an Alternator cluster. ``make demo`` runs it on a local cluster of three nodes.

`models`: the tables. `shop`: what a shop does, and does once, whatever happens to the nodes. `traffic`: where requests
went, from the library's signals. `app`: the web pages. `demo`: all of it on a local cluster, with a node that dies.
"""
