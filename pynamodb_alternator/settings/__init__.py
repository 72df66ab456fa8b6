"""What did the user ask for? Frozen, validated values, their text forms, and the settings that one request may change.

Imports no other room.
"""
