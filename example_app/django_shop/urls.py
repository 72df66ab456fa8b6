"""The URLs of the pages."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("state.json", views.state, name="state"),
    path("cart", views.cart, name="cart"),
    path("cart/add", views.add, name="add"),
    path("orders", views.orders, name="orders"),
    path("orders/new", views.checkout, name="checkout"),
    path("orders/<str:order_id>", views.order, name="order"),
    path("dashboard", views.dashboard, name="dashboard"),
    path("dashboard/events", views.events, name="events"),
    path("dashboard/nodes", views.press, name="press"),
]
handler404 = "example_app.django_shop.views.not_found"
handler400 = "example_app.django_shop.views.bad_request"
