from django.urls import path

from pricing import views, views_billing, views_credits, views_personal

urlpatterns = [
    path("credits/", views_credits.credits, name="credits"),
    path("credits/<int:application_id>/", views_credits.application, name="credits_application"),
    path(
        "credits/<int:application_id>/step/<int:number>/", views_credits.step, name="credits_step"
    ),
    path("credits/<int:application_id>/files/", views_credits.attach, name="credits_attach"),
    path(
        "credits/<int:application_id>/files/<int:attachment_id>/",
        views_credits.attachment,
        name="credits_attachment",
    ),
    path(
        "credits/<int:application_id>/files/<int:attachment_id>/remove/",
        views_credits.detach,
        name="credits_detach",
    ),
    path("credits/<int:application_id>/outcomes/", views_credits.outcome, name="credits_outcome"),
    path(
        "credits/<int:application_id>/outcomes/<int:outcome_id>/remove/",
        views_credits.outcome_remove,
        name="credits_outcome_remove",
    ),
    path("credits/<int:application_id>/withdraw/", views_credits.withdraw, name="credits_withdraw"),
    path("usage/", views.usage, name="usage"),
    path("usage.csv", views.usage_csv, name="usage_csv"),
    path("data/", views_personal.data, name="data_export"),
    path("data/<int:export_id>/", views_personal.download, name="data_export_download"),
    path("delete/", views_personal.delete, name="account_delete"),
    path("delete/keep/", views_personal.keep, name="account_keep"),
    path("billing/", views_billing.billing, name="billing"),
    path("billing/checkout/", views_billing.checkout, name="billing_checkout"),
    path("billing/portal/", views_billing.portal, name="billing_portal"),
    path("billing/check/", views_billing.check, name="billing_check"),
    path("invoices/<slug:number>/", views_billing.invoice, name="invoice"),
    path("invoices/<slug:number>.pdf", views_billing.invoice_file, name="invoice_pdf"),
    path("keys/", views.keys, name="api_keys"),
    path("keys/<int:key_id>/rotate/", views.rotate, name="api_key_rotate"),
    path("keys/<int:key_id>/revoke/", views.revoke, name="api_key_revoke"),
]
