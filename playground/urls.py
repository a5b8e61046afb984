from django.urls import path

from playground import views
from playground.rewards.views import builder
from playground.tuning import views as tuning

app_name = "playground"
urlpatterns = [
    path("", views.index, name="index"),
    path("panel/", views.panel, name="panel"),
    path("tuned/", views.tuned, name="tuned"),
    path("preview/", views.preview, name="preview"),
    path("rewards/", builder, name="rewards"),
    path("tuning/", tuning.runs, name="tuning"),
    path("tuning/new/", tuning.start, name="tuning_new"),
    path("tuning/pictures/<str:token>/", tuning.picture, name="tuning_picture"),
    path("tuning/<uuid:run_id>/", tuning.run, name="tuning_run"),
    path(
        "tuning/<uuid:run_id>/checkpoints/<int:step>/", tuning.checkpoint, name="tuning_checkpoint"
    ),
    path("tuning/<uuid:run_id>/<slug:name>/", tuning.act, name="tuning_act"),
    path("jobs/<uuid:job_id>/", views.job, name="job"),
    path("prompts/", views.prompts, name="prompts"),
    path("prompts/line/", views.prompt_line, name="prompt_line"),
    path("prompts/image/", views.prompt_image, name="prompt_image"),
    path("prompts/reference/", views.prompt_reference, name="prompt_reference"),
    path("prompts/propose/", views.propose, name="propose"),
]
