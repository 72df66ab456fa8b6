"""What a request costs the client: measured against a node that answers at once, with answers made beforehand."""
