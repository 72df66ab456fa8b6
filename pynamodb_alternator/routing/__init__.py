"""In which order shall this request try the nodes?

Knows the operation, the table, the key and the ring. Never imports botocore, pynamodb, sockets or clocks: the random
source is passed in.
"""
