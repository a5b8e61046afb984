"""What research credits came to, in the admin, and the files of applications."""

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from inference.spreadsheets import csv_text
from pricing import selectors
from pricing.models import CreditOutcome
from pricing.views_credits import file_response

MAY = "pricing.change_creditapplication"
_HEADS = (
    "year", "decided", "approved", "median_days", "granted_images", "used_images", "granted_minutes",
    "used_minutes", "reported",
)  # fmt: skip


@permission_required(MAY, raise_exception=True)
@require_safe
def report(request: HttpRequest) -> HttpResponse:
    """By year of the decision: granted, used, reported; and every outcome. Also as CSV."""
    found, kinds = selectors.credits_report(), CreditOutcome.Kind
    if request.GET.get("export") == "csv":
        rows = [
            [*(getattr(year, name) for name in _HEADS), *(year.outcomes.get(k, 0) for k in kinds.values)]
            for year in found.years
        ]  # fmt: skip
        return HttpResponse(
            csv_text([*_HEADS, *(f"outcomes_{kind}" for kind in kinds.values)], rows),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="research-credits.csv"'},
        )
    years = [(year, [(label, year.outcomes[kind]) for kind, label in kinds.choices if kind in year.outcomes]) for year in found.years]  # fmt: skip
    context = {"report": found, "years": years}
    return render(request, "pricing/admin/credits_report.html", context)


@permission_required(MAY, raise_exception=True)
@require_safe
def credit_file(request: HttpRequest, attachment_id: int) -> HttpResponse:  # a view
    """A file that an applicant sent along."""
    return file_response(selectors.attachment_get(attachment_id))
