"""The answers of a server that PynamoDB's tests put in place, and its source distribution leaves out.

They have what those tests compare with, and no more. Names are those under which the tests import them.
"""

from __future__ import annotations

from typing import Any

Wire = dict[str, Any]


def _table(name: str, types: dict[str, str], *, indexes: dict[str, tuple[str, str]] | None = None) -> Wire:
    """DescribeTable's answer. The first of the attributes is the partition key, the second the sort key.

    `indexes`: the keys of local indexes, by the name of the index.
    """
    keys = list(types)[:2]
    table: Wire = {
        "TableName": name,
        "TableStatus": "ACTIVE",
        "ItemCount": 42,
        "KeySchema": _key_schema(*keys),
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in types.items()],
    }
    if indexes:
        table["LocalSecondaryIndexes"] = [
            {"IndexName": index, "KeySchema": _key_schema(*of_index), "Projection": {"ProjectionType": "ALL"}}
            for index, of_index in indexes.items()
        ]
    return {"Table": table}


def _key_schema(*names: str) -> list[Wire]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


def _s(text: str) -> Wire:
    return {"S": text}


def _n(number: float) -> Wire:
    return {"N": str(number)}


def _m(**values: Wire) -> Wire:
    return {"M": values}


# ---- tables ------------------------------------------------------------------------------------------------------

DESCRIBE_TABLE_DATA = _table(
    "Thread",
    {"ForumName": "S", "Subject": "S", "LastPostDateTime": "S"},
    indexes={"LastPostIndex": ("ForumName", "LastPostDateTime")},
)
LIST_TABLE_DATA: Wire = {"TableNames": ["Forum", "Reply", "Thread"], "LastEvaluatedTableName": "Thread"}
MODEL_TABLE_DATA = _table("UserModel", {"user_name": "S", "user_id": "S"})
DOG_TABLE_DATA = _table("Dog", {"name": "S"})
OFFICE_EMPLOYEE_MODEL_TABLE_DATA = _table("OfficeEmployeeModel", {"office_employee_id": "N"})
GROCERY_LIST_MODEL_TABLE_DATA = _table("GroceryListModel", {"store_name": "S"})
OFFICE_MODEL_TABLE_DATA = _table("OfficeModel", {"office_id": "N"})
COMPLEX_MODEL_TABLE_DATA = _table("ComplexModel", {"key": "N"})
CAR_MODEL_TABLE_DATA = _table("CarModel", {"car_id": "N"})
BOOLEAN_MODEL_TABLE_DATA = _table("BooleanTable", {"user_name": "S"})
TREE_MODEL_TABLE_DATA = _table("TreeModelTable", {"tree_key": "S"})
EXPLICIT_RAW_MAP_MODEL_TABLE_DATA = _table("ExplicitRawMapModel", {"map_id": "N"})
EXPLICIT_RAW_MAP_MODEL_AS_SUB_MAP_IN_TYPED_MAP_TABLE_DATA = _table("ExplicitRawMapAsMemberOfSubClass", {"map_id": "N"})

# ---- items -------------------------------------------------------------------------------------------------------


def _person(first: str, last: str, *, is_male: bool) -> Wire:
    return _m(firstName=_s(first), lname=_s(last), age=_n(31), is_dude={"BOOL": is_male})


_PLACE = _m(latitude=_n(37.8), longitude=_n(-122.4), name=_s("Pier"))

GET_ITEM_DATA: Wire = {"Item": {"ForumName": _s("Amazon DynamoDB"), "Subject": _s("How do I update multiple items?")}}
GET_MODEL_ITEM_DATA: Wire = {"Item": {"user_name": _s("foo"), "user_id": _s("bar")}}
SIMPLE_BATCH_GET_ITEMS: Wire = {
    "Responses": {"SimpleModel": [{"user_name": _s(f"hash-{i}"), "numbers": {"NS": ["1"]}} for i in range(10)]},
    "UnprocessedKeys": {},
}
BATCH_GET_ITEMS: Wire = {
    "Responses": {"UserModel": [{"user_name": _s(f"hash-{i}"), "user_id": _s(str(i))} for i in range(10)]},
    "UnprocessedKeys": {},
}
COMPLEX_ITEM_DATA: Wire = {"Item": {"name": _s("test"), "date_created": _s("2014-02-03T04:05:06.000000+0000")}}
CUSTOM_ATTR_NAME_ITEM_DATA: Wire = {"Item": {"user_name": _s("foo"), "user_id": _s("bar"), "foo_attr": _s("baz")}}
GET_OFFICE_EMPLOYEE_ITEM_DATA: Wire = {
    "Item": {
        "office_employee_id": _n(123),
        "person": _person("Justin", "Phillips", is_male=True),
        "office_location": _PLACE,
    }
}
GET_OFFICE_EMPLOYEE_ITEM_DATA_WITH_NULL: Wire = {
    "Item": {
        **GET_OFFICE_EMPLOYEE_ITEM_DATA["Item"],
        "person": _m(firstName=_s("Justin"), age={"NULL": True}, is_dude={"NULL": True}),
    }
}
GET_GROCERY_LIST_ITEM_DATA: Wire = {
    "Item": {
        "store_name": _s("Haight Street Market"),
        "groceries": {"L": [_s("bread"), _n(1), _s("butter"), _s("milk")]},
    }
}
GET_OFFICE_ITEM_DATA: Wire = {
    "Item": {
        "office_id": _n(6161),
        "address": _PLACE,
        "employees": {
            "L": [
                _m(office_employee_id=_n(123), person=_person(name, "Phillips", is_male=True), office_location=_PLACE)
                for name in ("Justin", "Alma", "Garrett", "Noor")
            ]
        },
    }
}
COMPLEX_MODEL_ITEM_DATA: Wire = {"Item": {"key": _n(123), "weird_person": _person("Justin", "Phillips", is_male=True)}}
FULL_CAR_MODEL_ITEM_DATA: Wire = {
    "Item": {"car_id": _n(123), "car_info": _m(make=_s("Volkswagen"), model=_s("Beetle"))}
}
CAR_MODEL_WITH_NULL_ITEM_DATA: Wire = {
    "Item": {"car_id": _n(123), "car_color": {"NULL": True}, "car_info": _m(make=_s("Dodge"), model={"NULL": True})}
}
INVALID_CAR_MODEL_WITH_NULL_ITEM_DATA: Wire = {
    "Item": {"car_id": _n(123), "car_color": {"NULL": True}, "car_info": _m(make={"NULL": True}, model=_s("Beetle"))}
}
BOOLEAN_MODEL_FALSE_ITEM_DATA: Wire = {"Item": {"user_name": _s("alf"), "is_human": {"BOOL": False}}}
BOOLEAN_MODEL_TRUE_ITEM_DATA: Wire = {"Item": {"user_name": _s("justin"), "is_human": {"BOOL": True}}}


def _node(depth: int, value: int) -> Wire:
    below = {side: _node(depth - 1, value) for side in ("left", "right")} if depth else {}
    return _m(value=_n(value), **below)


TREE_MODEL_ITEM_DATA: Wire = {"Item": {"tree_key": _s("123"), "left": _node(2, 3), "right": _node(2, 4)}}
_RAW_MAP = _m(
    foo=_s("bar"),
    num=_n(1),
    bool_type={"BOOL": True},
    other_b_type={"BOOL": False},
    floaty=_n(1.2),
    listy={"L": [_n(1), _n(2), _n(12345678909876543211234234324234)]},
    mapy=_m(baz=_s("bongo")),
)
EXPLICIT_RAW_MAP_MODEL_ITEM_DATA: Wire = {"Item": {"map_id": _n(123), "map_attr": _RAW_MAP}}
EXPLICIT_RAW_MAP_MODEL_AS_SUB_MAP_IN_TYPED_MAP_ITEM_DATA: Wire = {
    "Item": {"map_id": _n(123), "sub_attr": _m(num_field=_n(37), str_field=_s("hi"), map_field=_RAW_MAP)}
}
