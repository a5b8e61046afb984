from django.urls import path

from pricing import views, views_credits

urlpatterns = [
    path("credits/", views_credits.credits, name="credits"),
    path("credits/<int:application_id>/", views_credits.application, name="credits_application"),
    path(
        "credits/<int:application_id>/step/<int:number>/", views_credits.step, name="credits_step"
    ),
    path("credits/<int:application_id>/withdraw/", views_credits.withdraw, name="credits_withdraw"),
    path("usage/", views.usage, name="usage"),
    path("usage.csv", views.usage_csv, name="usage_csv"),
    path("keys/", views.keys, name="api_keys"),
    path("keys/<int:key_id>/rotate/", views.rotate, name="api_key_rotate"),
    path("keys/<int:key_id>/revoke/", views.revoke, name="api_key_revoke"),
]
