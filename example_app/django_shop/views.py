"""The pages. If no node could take a request of the shop, the answer is a page that says so (503), and the visitor may
try again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_GET, require_POST
from pynamodb.exceptions import PynamoDBException

from pynamodb_alternator import get_cluster
from pynamodb_alternator.errors import AlternatorError

from ..shop import pages, tokens
from ..shop.dashboard import STREAM_HEADERS, Dashboard, TooManyStreams
from ..shop.traffic import Traffic

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_board: Dashboard | None = None


def board() -> Dashboard:
    """The dashboard of the cluster that the settings name now."""
    global _board
    cluster = get_cluster()
    with _lock:
        if _board is None or _board.cluster is not cluster:
            if _board is not None:
                _board.close()
                _board.traffic.close()
            _board = Dashboard(cluster, Traffic().watch(cluster), settings.SHOP_LOCAL_CLUSTER)
        return _board


class Shop:
    """The middleware: finds the customer of a request, and answers if something went wrong."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.get_host()  # refuses a name that is not in ALLOWED_HOSTS, which Django does only when asked
        board()  # counts from the first request on
        if not request.path.startswith(("/dashboard/events", "/state.json")) and "customer" not in request.session:
            request.session["customer"] = pages.new_customer()
        response = self._get_response(request)
        for name, value in pages.HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        """Of foreign pages, Django's own check refuses the forms."""
        is_watched = request.resolver_match.url_name in ("events", "state")
        if is_watched and tokens.is_foreign(request.headers.get("Origin"), request.get_host()):
            return forbidden(request)
        if tokens.once_each((name, value) for name, values in request.POST.lists() for value in values) is None:
            return bad_request(request)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, pages.NotFound):
            return not_found(request)
        if isinstance(error, pages.BadRequest):
            return bad_request(request)
        if isinstance(error, AlternatorError | PynamoDBException) and pages.is_unavailable(error):
            _log.warning("%s %s: %s", request.method, request.path, error)
            return render(request, "message.html", pages.UNAVAILABLE.context, status=503)
        return None


# ---- the shop ------------------------------------------------------------------------------------------------------


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html", pages.home(board(), request.GET.get("category")))


@require_GET
def state(request: HttpRequest) -> HttpResponse:
    answer = JsonResponse(pages.state(board().traffic))
    add_never_cache_headers(answer)
    return answer


@require_GET
def cart(request: HttpRequest) -> HttpResponse:
    return render(request, "cart.html", pages.cart(_customer(request)))


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    form = request.POST
    messages.info(request, pages.add_to_cart(_customer(request), form.get("sku", ""), form.get("quantity", "1")))
    return redirect("cart" if form.get("back") == "cart" else "home")


@require_POST
def checkout(request: HttpRequest) -> HttpResponse:
    order_id = request.POST.get("order_id", "")
    pages.check_out(_customer(request), order_id)
    return redirect("order", order_id=order_id)


@require_GET
def order(request: HttpRequest, order_id: str) -> HttpResponse:
    return render(request, "order.html", pages.order(_customer(request), order_id))


@require_GET
def orders(request: HttpRequest) -> HttpResponse:
    return render(request, "orders.html", pages.orders(_customer(request)))


def _customer(request: HttpRequest) -> str:
    return str(request.session["customer"])


# ---- the dashboard -------------------------------------------------------------------------------------------------


@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard.html", pages.dashboard(board()))


@require_GET
def events(request: HttpRequest) -> Any:
    try:
        # Under ASGI the view must not wait in the event loop. Under WSGI it waits in its thread.
        stream: Any = board().async_stream() if isinstance(request, ASGIRequest) else board().stream()
    except TooManyStreams as refused:
        return HttpResponse(refused.text, "text/plain", refused.status, headers=refused.headers)
    return StreamingHttpResponse(stream, headers=STREAM_HEADERS, content_type="text/event-stream")


@require_POST
def press(request: HttpRequest) -> HttpResponse:
    said, status = pages.press(board(), request.POST.get("action", ""), request.POST.get("node", ""))
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"said": said}, status=status)
    messages.info(request, said)
    return redirect("dashboard")


# ---- errors --------------------------------------------------------------------------------------------------------


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "message.html", pages.MISSING.context, status=404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "message.html", pages.WRONG.context, status=400)


def forbidden(request: HttpRequest, reason: str = "") -> HttpResponse:
    return render(request, "message.html", pages.FOREIGN.context, status=403)
