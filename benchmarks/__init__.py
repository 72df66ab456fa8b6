"""Measures what a request costs the client, with a node that answers at once with prepared answers."""
