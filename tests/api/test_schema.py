"""The OpenAPI document, and what the API does with input made from it."""

from collections import Counter
from typing import Any

import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error

from tests.live import LiveStack


def test_every_operation_says_its_errors(client: Client, db: None) -> None:
    document = client.get("/api/openapi.json").json()
    operations = {
        (path, method): op
        for path, methods in document["paths"].items()
        for method, op in methods.items()
    }
    assert {path for path, _ in operations} >= {
        "/v1/caption", "/v1/query", "/v1/detect", "/v1/point", "/v1/segment",
        "/v1/chat/completions", "/v1/jobs", "/v1/jobs/{job_id}/events",
    }  # fmt: skip
    for (path, _), operation in operations.items():
        assert operation["summary"], path
        assert {"400", "429", "503"} <= set(operation["responses"]), path


@pytest.mark.live
def test_no_generated_input_breaks_the_server(live_stack: LiveStack) -> None:
    schema = schemathesis.openapi.from_url(f"{live_stack.base_url}/api/openapi.json")
    tried: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=20, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy())
        def ask(case: Any) -> None:
            response = case.call(timeout=60)
            case.validate_response(response, checks=[not_a_server_error])
            if response.status_code >= 400 and case.path.startswith("/v1"):
                assert response.json()["error"]["message"]
            tried[case.path] += 1

        ask()
    assert len(tried) >= 9
    assert min(tried.values()) >= 1
