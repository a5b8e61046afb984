"""Forms of the editors' side."""

from typing import Any

from wagtail.images.forms import BaseImageForm


class DescribedImageForm(BaseImageForm):
    """An image needs a description: it is the text for those who cannot see it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "description" in self.fields:
            self.fields["description"].required = True
            self.fields["description"].help_text = "What the picture shows, for who cannot see it."
