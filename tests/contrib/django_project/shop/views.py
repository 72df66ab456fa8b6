from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, JsonResponse

from pynamodb_alternator import aio

from .models import Visitor


def visit(request: HttpRequest, name: str) -> Any:
    visitor = Visitor(name)
    visitor.update(actions=[Visitor.visits.add(1)])
    return JsonResponse({"visits": int(visitor.visits)})


async def avisit(request: HttpRequest, name: str) -> Any:
    visitor = Visitor(name)
    await visitor.aio.update([Visitor.visits.add(1)])
    return JsonResponse({"visits": int(visitor.visits)})


async def alook(request: HttpRequest, name: str) -> Any:
    client = await aio.get_client()
    answer = await client.get_item(TableName="visitors", Key={"name": {"S": name}})
    return JsonResponse({"visits": int(answer["Item"]["visits"]["N"])})


def mixed(request: HttpRequest, name: str) -> Any:
    """A view that is not asynchronous, and awaits something all the same."""
    visitor = async_to_sync(Visitor.aio.get)(name)
    return JsonResponse({"visits": int(visitor.visits) + int(Visitor.get(name).visits)})
