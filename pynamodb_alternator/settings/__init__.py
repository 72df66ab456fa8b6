"""What did the user ask for? Frozen, validated values, their text forms, and what one request may change of them.

Imports no other room.
"""
