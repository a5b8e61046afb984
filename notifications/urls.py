from django.urls import path, re_path

from notifications import views

app_name = "notifications"
urlpatterns = [
    path("", views.subscribe, name="subscribe"),
    path("confirm/<str:token>/", views.confirm, name="confirm"),
    path("<str:token>/", views.manage, name="manage"),
    path("<str:token>/unsubscribe/", views.unsubscribe, name="unsubscribe"),
]

account_patterns = [
    path("", views.webhooks, name="webhooks"),
    path("new/", views.webhook_new, name="webhook_new"),
    path("<uuid:subscription_id>/", views.webhook, name="webhook"),
    re_path(
        r"^(?P<subscription_id>[0-9a-f-]{36})/(?P<action>test|pause|enable|rotate|redeliver|delete)/$",
        views.webhook_act, name="webhook_act",
    ),
    path("<uuid:subscription_id>/deliveries/<slug:uid>/", views.webhook_delivery, name="webhook_delivery"),
    path(
        "<uuid:subscription_id>/deliveries/<slug:uid>/redeliver/", views.webhook_redeliver,
        name="webhook_redeliver",
    ),
]  # fmt: skip
"""Under a person's account."""
