from django.urls import path

from pricing import views

urlpatterns = [
    path("keys/", views.keys, name="api_keys"),
    path("keys/<int:key_id>/revoke/", views.revoke, name="api_key_revoke"),
]
