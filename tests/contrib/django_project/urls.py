from __future__ import annotations

from django.urls import path

from pynamodb_alternator.contrib.django.views import healthz

from .shop import views

urlpatterns = [
    path("healthz", healthz),
    path("visit/<name>", views.visit),
    path("avisit/<name>", views.avisit),
    path("alook/<name>", views.alook),
    path("aall", views.aall),
    path("mixed/<name>", views.mixed),
]
