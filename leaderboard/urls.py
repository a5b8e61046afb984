from django.urls import path, re_path
from django.views.generic import RedirectView

from leaderboard import views, views_challenges, views_teams

urlpatterns = [
    path("", views.index, name="leaderboards"),
    path("entries/<uuid:submission_id>/", views.entry, name="entry"),
    path("entries/<uuid:submission_id>/items/", views.entry_items, name="entry_items"),
    path("moondream_hub.py", views.hub_client, name="hub_client"),
    path("compare/", views.compare, name="compare"),
    path("submissions/<uuid:submission_id>/", views.submission, name="submission"),
    re_path(
        r"^submissions/(?P<submission_id>[0-9a-f-]{36})/(?P<action>withdraw|publish|hide)/$",
        views.submission_act, name="submission_act",
    ),
    path("challenges/", RedirectView.as_view(url="/research/challenges/"), name="challenges"),
    path("challenges/<slug:slug>/", views_challenges.challenge, name="challenge"),
    path("challenges/<slug:slug>/own/", views_challenges.own, name="challenge_own"),
    path("challenges/<slug:slug>/join/", views_challenges.join, name="challenge_join"),
    path("challenges/<slug:slug>/leave/", views_challenges.leave, name="challenge_leave"),
    path("challenges/<slug:slug>/choose/", views_challenges.choose, name="challenge_choose"),
    path("challenges/<slug:slug>/submit/", views_challenges.submit, name="challenge_submit"),
    path("<slug:slug>/", views.board, name="leaderboard"),
    path("<slug:slug>/submit/", views.submit, name="leaderboard_submit"),
    path("<slug:slug>/public/", views.public, name="leaderboard_public"),
    path("<slug:slug>/log/", views.log, name="leaderboard_log"),
]  # fmt: skip

team_patterns = [
    path("<int:team_id>/", views_teams.team, name="team"),
    re_path(
        r"^(?P<team_id>\d+)/(?P<action>invite|uninvite)/$", views_teams.invite, name="team_invite"
    ),
    path("<int:team_id>/members/<int:user_id>/remove/", views_teams.remove, name="team_remove"),
    path("<int:team_id>/members/<int:user_id>/role/", views_teams.role, name="team_role"),
    path("<int:team_id>/dissolve/", views_teams.dissolve, name="team_dissolve"),
    path("join/<str:code>/", views_teams.join, name="team_join"),
]
"""Under a person's account."""
