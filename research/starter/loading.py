"""Puts starter content in its place: makes what is missing, corrects what nobody has touched since it
was put there, and leaves the rest as its editor has it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models.fields.files import FieldFile
from modelcluster.fields import ParentalKey
from modelcluster.models import get_all_child_relations
from wagtail.fields import StreamField
from wagtail.models import Page, Site

from research.models import Navigation, NavigationLink, StarterText

Prints = dict[str, str]
"""SHA-256 of each field, by its name."""


@dataclass
class Loaded:
    """Titles of pages, by what was done."""

    made: list[str] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    """Nobody had touched them, and they have the newer text now."""
    left: list[str] = field(default_factory=list)
    """There is a newer text, but an editor has changed the page."""


class Loader:
    """Adds, corrects and leaves pages, and remembers which."""

    def __init__(self) -> None:
        self.loaded = Loaded()
        self._new: set[int] = set()

    def child(
        self, parent: Page, kind: type[Any], slug: str, /, *, tags: Iterable[str] | None = None,
        first: Mapping[str, Any] | None = None, **fields: Any,
    ) -> Any:  # fmt: skip
        """The page at a slug, or wherever an editor has moved it; made if there is none, or if ours of an
        earlier version has another type and nobody ever touched it.

        Args:
            first: values that a new page begins with, and that are nobody's to correct.
            fields: values, files, and the rows of child relations in their order.
        """
        key = f"{parent.slug}/{slug}"
        found = Page.objects.child_of(parent).filter(slug=slug).first() or _known(key)
        if found is not None and found.specific_class is not kind and not touched(found):
            found.delete()
            found = None
        if found is not None and found.specific_class is not kind:
            return found.specific
        if found is not None:
            return self.offer(found.specific, key, tags=tags, **fields)
        rows = {name: fields[name] for name in fields if name in _children(kind)}
        own = {name: value for name, value in fields.items() if name not in rows}
        own = {"show_in_menus": parent.depth == 2, **own, **(first or {})}
        # The parent's own count of children may be behind: it was read before others were added.
        parent = parent.specific_class.objects.get(pk=parent.pk)
        page = parent.add_child(instance=kind(slug=slug, **own))
        if rows or tags is not None:
            _fill(page, rows)
            page.tags.set(tags or ()) if tags is not None else None
            page.save()
        self.loaded.made.append(str(page.title))
        self._new.add(page.pk)
        _note(key, page, _prints(page, fields, tags))
        return page

    def offer(
        self, page: Any, key: str, *, tags: Iterable[str] | None = None, **fields: Any
    ) -> Any:  # fmt: skip
        """Give a page what starter content says, if it is new or nobody has touched it."""
        known = StarterText.objects.filter(key=key).first()
        now = _prints(page, fields, None if tags is None else page.tags.names())
        filled = type(page).objects.get(pk=page.pk)
        _fill(filled, fields)
        wanted = _prints(filled, fields, tags)
        _note(key, page, wanted)
        if now == wanted:
            return page
        is_new = self.is_new(page)
        if not is_new and not _as_given(page, known, now):
            if known is not None and _differs(known.given, wanted):
                self.loaded.left.append(str(page.title))
            return page
        for name in fields:  # a file that is the same is not stored again
            if now[name] == wanted[name] and isinstance(getattr(page, name), FieldFile):
                setattr(filled, name, getattr(page, name).name)
        if tags is not None:
            filled.tags.set(tags)
        filled.save()
        if not is_new:
            filled.save_revision().publish()
            self.loaded.corrected.append(str(page.title))
        return filled

    def is_new(self, page: Page) -> bool:
        """Whether this loader made the page: only then its files are made and filled in."""
        return page.pk in self._new

    def publish(self) -> None:
        """Give what was made its first revision, so that it has a date, a past to compare with,
        and a redirect when an editor moves it."""
        for page in Page.objects.filter(pk__in=self._new).specific():
            page.save_revision().publish()

    def navigation(self, site: Site, links: Iterable[tuple[str, str, str]], footer: str) -> None:
        """The header's and footer's links (label, address, place), and the footer's text."""
        key, navigation, links = f"navigation/{site.pk}", Navigation.for_site(site), list(links)
        known = StarterText.objects.filter(key=key).first()
        rows = list(navigation.links.values_list("label", "url", "place"))
        wanted = {"links": _print(links), "footer": _print(footer)}
        now = {"links": _print(rows), "footer": _print(navigation.footer_text)}
        _note(key, None, wanted)
        if now == wanted:
            return
        if rows and not _as_given(navigation, known, now):
            if known is not None and _differs(known.given, wanted):
                self.loaded.left.append("Navigation")
            return
        navigation.links.set([
            NavigationLink(label=label, url=url, place=place, sort_order=order)
            for order, (label, url, place) in enumerate(links)
        ])  # fmt: skip
        navigation.footer_text = footer if rows else navigation.footer_text or footer
        navigation.save()
        if navigation.latest_revision_id:
            navigation.save_revision().publish()
        if rows:
            self.loaded.corrected.append("Navigation")


def touched(row: Any) -> bool:
    """Whether a person has saved a page or the navigation since it was made, or taken it down, or locked
    it."""
    by_person = row.revisions.filter(user__isnull=False).exists()
    return by_person or not row.live or row.locked


def is_as_given(page: Any) -> bool:
    """Whether nobody, by whatever way, has changed what starter content gave a page."""
    known = StarterText.objects.filter(page=page.pk).first()
    names = set(known.given) - {"tags"} if known else set()
    return _as_given(page, known, _prints(page, names, None))


def _as_given(row: Any, known: StarterText | None, now: Prints) -> bool:
    """What was made before this was noted counts as given unless a person has saved it."""
    return not touched(row) and (known is None or not _differs(known.given, now))


def _differs(given: Mapping[str, str], other: Prints) -> bool:
    return any(given[name] != value for name, value in other.items() if name in given)


def _known(key: str) -> Page | None:
    """Where the page is that was put there under a key."""
    found = StarterText.objects.filter(key=key, page__isnull=False).select_related("page").first()
    return found.page if found else None


def _fill(page: Any, fields: Mapping[str, Any]) -> None:
    children = _children(type(page))
    for name, value in fields.items():
        if name in children:
            for order, row in enumerate(value):
                row.sort_order = order
        setattr(page, name, value)


def _children(kind: type[Any]) -> set[str]:
    return {relation.get_accessor_name() for relation in get_all_child_relations(kind)}


def _prints(page: Any, names: Iterable[str], tags: Iterable[str] | None) -> Prints:
    """Of the named fields as a page has them, and of its tags."""
    data = page.serializable_data()
    made = {name: _print(_plain(page, name, data)) for name in names}
    return made if tags is None else made | {"tags": _print(sorted(tags))}


def _note(key: str, page: Page | None, wanted: Prints) -> None:
    """What was offered, beside what was before of other fields."""
    known, _ = StarterText.objects.get_or_create(key=key)
    known.page, known.given = page, known.given | wanted
    known.save()


def _plain(page: Any, name: str, data: Mapping[str, Any]) -> Any:
    """A field's value as JSON, without what is made anew at each writing."""
    if name in _children(type(page)):
        rows = getattr(page, name)
        parents = {f.name for f in rows.model._meta.fields if isinstance(f, ParentalKey)}
        unsaid = {"pk", "sort_order", *parents}
        return [{k: v for k, v in row.items() if k not in unsaid} for row in data[name]]
    value = getattr(page, name)
    if isinstance(value, FieldFile):
        return _content(value)
    if isinstance(page._meta.get_field(name), StreamField):
        return _without_ids(json.loads(data[name]))
    return data[name]


def _content(file: FieldFile) -> str:
    """SHA-256 of a file; empty where there is none, or it cannot be read."""
    try:
        raw = file.file
        raw.open("rb")
        made = hashlib.sha256(raw.read()).hexdigest()
        raw.seek(0)  # it may be about to be stored
    except (OSError, ValueError):
        return ""
    return made


def _without_ids(value: Any) -> Any:
    """Blocks without their ids."""
    if isinstance(value, list):
        return [_without_ids(one) for one in value]
    if not isinstance(value, dict):
        return value
    is_block = "type" in value and "value" in value
    return {k: _without_ids(v) for k, v in value.items() if not (is_block and k == "id")}


def _print(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
