from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse

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


async def aall(request: HttpRequest) -> Any:
    async def lines() -> AsyncIterator[str]:
        async with aclosing(Visitor.aio.scan(page_size=3, prefetch=1)) as visitors:
            async for visitor in visitors:
                yield f"{visitor.name:>2000}\n"

    return StreamingHttpResponse(lines())


def mixed(request: HttpRequest, name: str) -> Any:
    """An ordinary view that calls an asynchronous function."""
    visitor = async_to_sync(Visitor.aio.get)(name)
    return JsonResponse({"visits": int(visitor.visits) + int(Visitor.get(name).visits)})
