"""Who asks: an account, or a caller without one."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from inference.metering import Payer


@dataclass(frozen=True, slots=True)
class Who:
    """Whose fine-tunes, runs and data sets are meant."""

    user: Any = None
    """The account; None without."""
    key: str = ""
    """The caller's opaque name (`request.client_key`), which counts where there is no account."""

    payer: Payer = None
    """Who it is metered for, as the room above knows them."""

    @property
    def is_account(self) -> bool:
        return self.user is not None and self.user.is_authenticated

    @property
    def owns(self) -> Q:
        """Rows that are theirs."""
        if self.is_account:
            return Q(owner=self.user)
        return Q(owner=None, owner_key=self.key) & ~Q(owner_key="")

    @property
    def fields(self) -> dict[str, Any]:
        """What marks a new row as theirs."""
        return {"owner": self.user} if self.is_account else {"owner": None, "owner_key": self.key}
