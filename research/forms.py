"""Forms of the editors' side."""

from typing import Any

from django.core.exceptions import ValidationError
from wagtail.documents.forms import BaseDocumentForm
from wagtail.images.fields import WagtailImageField
from wagtail.images.forms import BaseImageForm

from inference import images
from inference.errors import DomainError
from research.validators import validate_pdf


class BoundedImageField(WagtailImageField):  # type: ignore[misc]
    """Judges a file by its size and by what its header claims, before any library opens it."""

    def to_python(self, data: Any) -> Any:
        """
        Raises:
            ValidationError: too large, too many pixels, or no image.
        """
        if data:
            self.check_image_file_size(data)
            try:
                images.check_header(data.read())
            except DomainError as error:
                raise ValidationError(f"{error.message} {error.hint}", code=error.code) from error
            data.seek(0)
        return super().to_python(data)


class CheckedDocumentForm(BaseDocumentForm):
    """A document whose name says PDF is one."""

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file and "file" in self.changed_data and file.name.lower().endswith(".pdf"):
            validate_pdf(file)
        return file


class DescribedImageForm(BaseImageForm):
    """An image needs a description: it is the text for those who cannot see it. Its file is bounded as
    everybody's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "file" in self.fields:
            given = self.fields["file"]
            self.fields["file"] = BoundedImageField(
                label=given.label, required=given.required, widget=given.widget
            )
        if "description" in self.fields:
            self.fields["description"].required = True
            self.fields["description"].help_text = "What the picture shows, for who cannot see it."
