"""How do the bytes get to a node, and back?

Knows HTTP/1.1, TLS, signing, compression and botocore. Never imports pynamodb.
"""
