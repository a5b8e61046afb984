"""Every address of the status page's own host."""

from django.urls import include, path

urlpatterns = [path("", include("status.urls"))]

handler400 = "moondream_site.design.views.bad_request"
handler500 = "moondream_site.design.views.server_error"
