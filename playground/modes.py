"""Free or guided: which of both a visitor of the playground is shown, remembered by a cookie."""

from django.http import HttpRequest, HttpResponse

COOKIE = "playground_mode"
FREE, GUIDED = "free", "guided"
_AGE_S = 180 * 86_400


def mode_of(request: HttpRequest) -> str:
    """What was chosen last; free before."""
    return GUIDED if request.COOKIES.get(COOKIE) == GUIDED else FREE


def remember_mode(request: HttpRequest, response: HttpResponse, mode: str) -> HttpResponse:
    """The response, with the choice that this browser is shown from now on."""
    if mode_of(request) != mode:
        response.set_cookie(
            COOKIE, mode, max_age=_AGE_S, httponly=True, samesite="Lax", secure=request.is_secure()
        )
    return response
