"""How do the rooms become one cluster? Wiring, forks, the mode without threads, and what is asked of the server.

Never imports pynamodb.
"""
