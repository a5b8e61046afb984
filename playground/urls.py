from django.urls import path

from playground import views

app_name = "playground"
urlpatterns = [
    path("", views.index, name="index"),
    path("panel/", views.panel, name="panel"),
    path("jobs/<uuid:job_id>/", views.job, name="job"),
]
