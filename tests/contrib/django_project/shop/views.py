from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse

from .models import Visitor


def visit(request: HttpRequest, name: str) -> Any:
    visitor = Visitor(name)
    visitor.update(actions=[Visitor.visits.add(1)])
    return JsonResponse({"visits": int(visitor.visits)})
