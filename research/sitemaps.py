"""The site's pages for search engines."""

from typing import Any

from wagtail.contrib.sitemaps import Sitemap

from research import selectors


class ReadableSitemap(Sitemap):
    """Wagtail's, of the pages that anybody may read: it does not know aliases of restricted ones."""

    def items(self) -> Any:
        pages = self.get_wagtail_site().root_page.get_descendants(inclusive=True)
        return selectors.readable(pages).order_by("path").defer_streamfields().specific()
