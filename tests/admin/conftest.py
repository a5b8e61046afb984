"""People of each group, and their clients."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client


@pytest.fixture
def member(starter: Any) -> Callable[[str], Client]:
    """A client of somebody in a group."""

    def signed_in(group: str) -> Client:
        users = get_user_model().objects
        user = users.filter(username=group.lower()).first()
        if user is None:
            user = users.create_user(group.lower(), f"{group.lower()}@example.org", "pw")
            user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        return client

    return signed_in
