from django.urls import path, re_path

from playground import views
from playground.comparison import views as comparison
from playground.guided import views as guided
from playground.rewards.views import builder, score_answer
from playground.sessions import views as sessions
from playground.tuning import views as tuning

app_name = "playground"
urlpatterns = [
    path("", views.index, name="index"),
    path("panel/", views.panel, name="panel"),
    path("tuned/", views.tuned, name="tuned"),
    path("preview/", views.preview, name="preview"),
    path("rewards/", builder, name="rewards"),
    path("rewards/score/", score_answer, name="reward_score"),
    path("guided/", guided.start, name="guided"),
    path("guided/reward/", guided.bring_reward, name="guided_reward"),
    path("guided/shared/<slug:project_token>/", guided.shared, name="guided_shared"),
    path(
        "guided/shared/<slug:project_token>/image/",
        guided.shared_picture,
        name="guided_shared_image",
    ),
    path(
        "guided/shared/<slug:project_token>/notebook/",
        guided.shared_notebook,
        name="guided_shared_notebook",
    ),
    path(
        "guided/shared/<slug:project_token>/adapter/",
        guided.shared_adapter,
        name="guided_shared_adapter",
    ),
    path("guided/<slug:project_id>/", guided.project, name="guided_project"),
    path("guided/<slug:project_id>/events/", guided.events, name="guided_events"),
    path("guided/<slug:project_id>/files/image/", guided.picture, name="guided_image"),
    path("guided/<slug:project_id>/files/notebook/", guided.take_notebook, name="guided_notebook"),
    path("guided/<slug:project_id>/files/adapter/", guided.take_adapter, name="guided_adapter"),
    path("guided/<slug:project_id>/<slug:step_name>/", guided.step, name="guided_step"),
    path("tuning/", tuning.runs, name="tuning"),
    path("tuning/new/", tuning.start, name="tuning_new"),
    path("tuning/pictures/<str:token>/", tuning.picture, name="tuning_picture"),
    path("tuning/<uuid:run_id>/", tuning.run, name="tuning_run"),
    path(
        "tuning/<uuid:run_id>/checkpoints/<int:step>/", tuning.checkpoint, name="tuning_checkpoint"
    ),
    path("tuning/<uuid:run_id>/<slug:name>/", tuning.act, name="tuning_act"),
    path("jobs/<uuid:job_id>/", views.job, name="job"),
    path("jobs/<uuid:job_id>/code/", views.code, name="job_code"),
    path("jobs/<uuid:job_id>/code/<slug:language>/", views.code_file, name="job_code_file"),
    path("images/<str:token>/", views.image, name="job_image"),
    path("compare/", comparison.start, name="compare"),
    path("compare/votes/", comparison.votes, name="votes"),
    path("compare/<slug:comparison_id>/", comparison.comparison, name="comparison"),
    path("compare/<slug:comparison_id>/grid/", comparison.grid, name="grid"),
    path("compare/<slug:comparison_id>/grid/share/", comparison.grid_share, name="grid_share"),
    re_path(
        r"^compare/(?P<comparison_id>[0-9A-Za-z]+)/grid\.(?P<kind>json|csv)$",
        comparison.grid_file,
        name="grid_file",
    ),
    path(
        "compare/<slug:comparison_id>/code/<slug:language>/",
        comparison.comparison_code,
        name="comparison_code",
    ),
    path(
        "compare/<slug:comparison_id>/<slug:name>/",
        comparison.comparison_act,
        name="comparison_act",
    ),
    re_path(
        r"^compare/(?P<comparison_id>[0-9A-Za-z]+)\.(?P<kind>json|csv|png)$",
        comparison.comparison_file,
        name="comparison_file",
    ),
    path("runs/", sessions.run_save, name="run_save"),
    path("runs/<int:saved_run_id>/image/", sessions.run_image, name="run_image"),
    path("runs/<int:saved_run_id>/<slug:name>/", sessions.run_act, name="run_act"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/<slug:session_id>/", sessions.session, name="session"),
    path("sessions/<slug:session_id>/runs/", sessions.session_runs, name="session_runs"),
    path("sessions/<slug:session_id>/<slug:name>/", sessions.session_act, name="session_act"),
    path("shared/<slug:share_token>/", sessions.shared, name="shared"),
    path("shared/<slug:share_token>/image/", sessions.shared_image, name="shared_image"),
    path("shared/<slug:share_token>/run/", sessions.shared_data, name="shared_data"),
    path("shared/<slug:share_token>/events/", sessions.shared_events, name="shared_events"),
    path("shared/<slug:share_token>/embed/", sessions.embedded, name="embedded"),
    path("shared/<slug:share_token>/card.png", sessions.shared_card, name="shared_card"),
    path("shared/<slug:share_token>/revoke/", sessions.share_revoke, name="share_revoke"),
    path("prompts/", views.prompts, name="prompts"),
    path("prompts/line/", views.prompt_line, name="prompt_line"),
    path("prompts/image/", views.prompt_image, name="prompt_image"),
    path("prompts/reference/", views.prompt_reference, name="prompt_reference"),
    path("prompts/propose/", views.propose, name="propose"),
]
