from __future__ import annotations

from pynamodb import models as pynamodb
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from pynamodb_alternator import Model


class Visitor(Model):
    class Meta:
        table_name = "visitors"

    name = UnicodeAttribute(hash_key=True)
    visits = NumberAttribute(default=0)


class Receipt(Model):
    class Meta:
        table_name = "receipts"
        cluster = "archive"
        read_capacity_units = 1
        write_capacity_units = 1

    number = NumberAttribute(hash_key=True)


class AtAmazon(pynamodb.Model):
    """Not on a cluster: no command touches it."""

    class Meta:
        table_name = "at-amazon"
        region = "eu-west-1"

    name = UnicodeAttribute(hash_key=True)
