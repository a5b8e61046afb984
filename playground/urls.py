from django.urls import path

from playground import views
from playground.rewards.views import builder

app_name = "playground"
urlpatterns = [
    path("", views.index, name="index"),
    path("panel/", views.panel, name="panel"),
    path("preview/", views.preview, name="preview"),
    path("rewards/", builder, name="rewards"),
    path("jobs/<uuid:job_id>/", views.job, name="job"),
    path("prompts/", views.prompts, name="prompts"),
    path("prompts/line/", views.prompt_line, name="prompt_line"),
    path("prompts/image/", views.prompt_image, name="prompt_image"),
    path("prompts/reference/", views.prompt_reference, name="prompt_reference"),
    path("prompts/propose/", views.propose, name="propose"),
]
