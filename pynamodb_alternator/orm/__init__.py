"""How does PynamoDB see the cluster? Models, connections, and items into instances."""
