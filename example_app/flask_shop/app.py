"""``create_app()`` returns the Flask application.

Only the home page and the dashboard know about nodes: they show what the signals report. If no node could take a
request of the shop, the answer is a page that says so (503), and the visitor may try again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flask import (
    Flask,
    Response,
    abort,
    flash,
    get_flashed_messages,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from pynamodb.exceptions import PynamoDBException
from werkzeug.exceptions import SecurityError

from pynamodb_alternator import get_cluster
from pynamodb_alternator.contrib.flask import Alternator
from pynamodb_alternator.errors import AlternatorError

from ..shop import pages, tokens
from ..shop.dashboard import STREAM_HEADERS, Dashboard, TooManyStreams
from ..shop.traffic import Traffic

__all__ = ["create_app", "dashboard_of"]

alternator = Alternator()


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The shop on the cluster that `config` or the environment names.

    ``ALTERNATOR_URL``: a node of the cluster. ``SHOP_LOCAL_CLUSTER``: the `LocalCluster` if the cluster is embedded, so
    that the dashboard can kill its nodes. ``SHOP_HOSTS``: the host names of the shop.
    """
    app = Flask(__name__, template_folder=str(pages.TEMPLATES), static_folder=str(pages.STATIC))
    app.config.update(
        SECRET_KEY=pages.secret_key(),
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=64 * 1024,
        TRUSTED_HOSTS=pages.hosts(),
        ALTERNATOR_URL=os.environ.get("ALTERNATOR_URL"),
        SHOP_LOCAL_CLUSTER=None,
    )
    app.config.update(config or {})
    app.json.sort_keys = False  # type: ignore[attr-defined]
    alternator.init_app(app)
    with app.app_context():
        cluster = get_cluster()
    board = Dashboard(cluster, Traffic().watch(cluster), app.config["SHOP_LOCAL_CLUSTER"])
    app.extensions["shop_dashboard"] = board
    _around_requests(app)
    _shop(app, board)
    _dashboard(app, board)
    _errors(app)
    return app


def dashboard_of(app: Flask) -> Dashboard:
    """The dashboard of an application. It also has the count of requests."""
    board: Dashboard = app.extensions["shop_dashboard"]
    return board


def _around_requests(app: Flask) -> None:
    @app.before_request
    def know_customer() -> None:
        if request.endpoint in ("home", "cart", "add", "checkout", "order", "orders", "dashboard", "press"):
            session.setdefault("customer", pages.new_customer())
            session.setdefault("csrf_token", tokens.new_token())

    @app.before_request
    def refuse_what_is_foreign() -> None:
        if request.method == "POST":
            form = tokens.once_each(request.form.items(multi=True))
            if form is None:
                abort(400)
            sent = request.headers.get(tokens.HEADER) or form.get(tokens.FIELD)
            if not tokens.fits(sent, session.get("csrf_token")):
                abort(403)
        is_guarded = request.method == "POST" or request.endpoint in ("events", "state")
        if is_guarded and tokens.is_foreign(request.headers.get("Origin"), request.host):
            abort(403)

    @app.after_request
    def be_strict(response: Response) -> Response:
        for name, value in pages.HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.context_processor
    def names() -> dict[str, Any]:
        """The names that all templates use, with every framework."""
        token = session.get("csrf_token", "")
        return {
            "url": url_for,
            "static": lambda name: url_for("static", filename=name),
            "page": request.endpoint,
            "customer": session.get("customer", "new here"),
            "notes": get_flashed_messages,
            **pages.IN_TEMPLATES,
            "csrf_token": token,
            "csrf_input": tokens.field_of(token),
        }


def _shop(app: Flask, board: Dashboard) -> None:
    @app.get("/")
    def home() -> str:
        return render_template("home.html", **pages.home(board, request.args.get("category")))

    @app.get("/state.json")
    def state() -> ResponseReturnValue:
        answer = jsonify(pages.state(board.traffic))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @app.get("/cart")
    def cart() -> str:
        return render_template("cart.html", **pages.cart(session["customer"]))

    @app.post("/cart/add")
    def add() -> ResponseReturnValue:
        form = request.form
        flash(pages.add_to_cart(session["customer"], form.get("sku", ""), form.get("quantity", "1")))
        return redirect(url_for("cart" if form.get("back") == "cart" else "home"))

    @app.post("/orders/new")
    def checkout() -> ResponseReturnValue:
        order_id = request.form.get("order_id", "")
        pages.check_out(session["customer"], order_id)
        return redirect(url_for("order", order_id=order_id))

    @app.get("/orders/<order_id>")
    def order(order_id: str) -> str:
        return render_template("order.html", **pages.order(session["customer"], order_id))

    @app.get("/orders")
    def orders() -> str:
        return render_template("orders.html", **pages.orders(session["customer"]))


def _dashboard(app: Flask, board: Dashboard) -> None:
    @app.get("/dashboard")
    def dashboard() -> str:
        return render_template("dashboard.html", **pages.dashboard(board))

    @app.get("/dashboard/events", provide_automatic_options=False)
    def events() -> ResponseReturnValue:
        if request.method == "HEAD":  # which Flask takes where it takes GET
            abort(405)
        try:
            stream = board.stream()
        except TooManyStreams as refused:
            return Response(refused.text, refused.status, refused.headers, mimetype="text/plain")
        return Response(stream, headers=STREAM_HEADERS, mimetype="text/event-stream")

    @app.post("/dashboard/nodes", provide_automatic_options=False)
    def press() -> ResponseReturnValue:
        said, status = pages.press(board, request.form.get("action", ""), request.form.get("node", ""))
        if request.accept_mimetypes.best == "application/json":
            return jsonify(said=said), status
        flash(said)
        return redirect(url_for("dashboard"))


def _errors(app: Flask) -> None:
    def message(what: pages.Message, status: int) -> ResponseReturnValue:
        return render_template("message.html", **what.context), status

    @app.errorhandler(pages.NotFound)
    @app.errorhandler(404)
    def not_found(error: Exception) -> ResponseReturnValue:
        return message(pages.MISSING, 404)

    @app.errorhandler(pages.BadRequest)
    @app.errorhandler(400)
    def bad_request(error: Exception) -> ResponseReturnValue:
        if isinstance(error, SecurityError):  # a name that is not in TRUSTED_HOSTS: no page has an address there
            return "The shop does not have this host name.\n", 400, {"Content-Type": "text/plain"}
        return message(pages.WRONG, 400)

    @app.errorhandler(403)
    def forbidden(error: Exception) -> ResponseReturnValue:
        return message(pages.FOREIGN, 403)

    @app.errorhandler(AlternatorError)
    @app.errorhandler(PynamoDBException)
    def unavailable(error: Exception) -> ResponseReturnValue:
        if not pages.is_unavailable(error):
            raise error
        app.logger.warning("%s %s: %s", request.method, request.path, error)
        return message(pages.UNAVAILABLE, 503)
