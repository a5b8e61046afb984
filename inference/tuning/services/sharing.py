"""Who may ask a tuned model."""

from django.db import transaction

from inference.tuning import errors
from inference.tuning.models import Finetune
from inference.tuning.who import Who

MAX_CARD = 4000


@transaction.atomic
def finetune_share(*, finetune: Finetune, who: Who, visibility: str, card: str = "") -> Finetune:
    """Say who may ask a fine-tune's checkpoints: its owner, whoever has a checkpoint's name, or everybody.

    Raises:
        InvalidInput: an unknown choice, a card that is too long, or none for what everybody sees.
        Forbidden: only an account publishes.
        Conflict: nothing was trained yet.
    """
    chosen = Finetune.Visibility
    card = card.replace("\x00", "").strip()
    if visibility not in chosen.values or len(card) > MAX_CARD:
        raise errors.BAD_FINETUNE(
            f"visibility is one of {', '.join(chosen.values)}, a card has at most {MAX_CARD} characters."
        )
    if visibility == chosen.PUBLIC and not who.is_account:
        raise errors.ACCOUNT_NEEDED()
    if visibility == chosen.PUBLIC and not card:
        raise errors.CARD_NEEDED()
    locked = Finetune.objects.select_for_update().get(pk=finetune.pk)
    if visibility != chosen.PRIVATE and locked.head_id is None:
        raise errors.NOTHING_TRAINED()
    locked.visibility, locked.card = visibility, card
    locked.save(update_fields=["visibility", "card", "updated_at"])
    return locked
