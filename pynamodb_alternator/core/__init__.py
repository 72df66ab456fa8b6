"""How do the rooms become one cluster? Wiring, forks, the mode without threads, and the library's own questions to the
server.

Never imports pynamodb.
"""
