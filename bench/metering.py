"""What metering costs a request: the time of a reservation and of its end, and how many queries each is.

    python -m bench.metering

Starts PostgreSQL of its own; each statement is a transaction, as in a request. It fails above the goals.
"""

import os
import statistics
import sys
import time
from uuid import uuid4

import django

from bench.site import own_services

TIMES = 2000
GOAL_MS, GOAL_QUERIES = 2.0, 2


def main() -> int:
    with own_services() as (_, servers):
        os.environ.update(servers, DJANGO_SETTINGS_MODULE="moondream_site.settings.development")
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        return measure(TIMES)


def measure(times: int) -> int:
    """Print medians and 99th percentiles in milliseconds; 1 where a goal is missed."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from pricing import selectors
    from pricing.services import metering
    from pricing.services.metering import What

    user = get_user_model().objects.create(username=f"bench-{uuid4().hex[:8]}")
    account, what = metering.account_of(user.pk), What(variant="bench", skill="query")
    selectors.plans_now()
    reserving, ending = [], []
    for _ in range(times):
        subject = uuid4()
        began = time.perf_counter()
        metering.reserve(account, subject, what=what)
        between = time.perf_counter()
        metering.end(subject, 1, seconds=0.1)
        reserving.append(1e3 * (between - began))
        ending.append(1e3 * (time.perf_counter() - between))
    with CaptureQueriesContext(connection) as asked:
        metering.reserve(account, subject := uuid4(), what=what)
        metering.end(subject, 1)
    for name, taken in (("reserve", reserving), ("end", ending)):
        p99 = statistics.quantiles(taken, n=100)[98]
        print(f"{name}: median {statistics.median(taken):.2f} ms, 99th percentile {p99:.2f} ms")
    print(f"queries for both: {len(asked)}")
    total = statistics.median(reserving) + statistics.median(ending)
    return int(total > GOAL_MS or len(asked) > GOAL_QUERIES)


if __name__ == "__main__":
    sys.exit(main())
