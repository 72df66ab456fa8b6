"""Which nodes exist, and which are usable now?

Knows ``/localnodes``, scopes, health and the clock. Never imports botocore, pynamodb, routing or transport: the
network is passed in as a function.
"""
