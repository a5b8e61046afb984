"""schema.org descriptions of pages, written into them as JSON-LD."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

from research.selectors.library import site_name

if TYPE_CHECKING:
    from research.models import BasePage, DatasetPage, NotebookPage, PaperPage


def _full(request: HttpRequest, address: str) -> str:
    return request.build_absolute_uri(address) if address else ""


def _kept(record: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if v not in ("", None, [], {})}


def _licence(expression: str) -> str:
    simple = expression and " " not in expression
    return f"https://spdx.org/licenses/{expression}.html" if simple else expression


def web_page(page: "BasePage", request: HttpRequest) -> dict[str, Any]:
    """A WebPage; the front page is the WebSite with its search."""
    here = _full(request, page.url)
    if page.depth == 2:
        target = _full(request, "/search/") + "?q={search_term_string}"
        return {
            "@context": "https://schema.org", "@type": "WebSite", "name": site_name(request), "url": here,
            "potentialAction": {
                "@type": "SearchAction", "target": target,
                "query-input": "required name=search_term_string",
            },
        }  # fmt: skip
    return _kept(
        {
            "@context": "https://schema.org", "@type": "WebPage", "name": page.title, "url": here,
            "description": page.summary,
            "dateModified": page.last_published_at.isoformat() if page.last_published_at else "",
        }
    )  # fmt: skip


def scholarly_article(page: "PaperPage", request: HttpRequest) -> dict[str, Any]:
    """A ScholarlyArticle."""
    same = [page.home_link, page.doi_link]
    people = [
        _kept(
            {
                "@type": "Organization" if a.is_group else "Person", "name": a.text,
                "identifier": f"https://orcid.org/{a.orcid}" if a.orcid else "",
                "affiliation": a.affiliation,
            }
        )
        for a in page.authors.all()
    ]  # fmt: skip
    return _kept(
        {
            "@context": "https://schema.org", "@type": "ScholarlyArticle",
            "headline": page.title, "name": page.title, "author": people,
            "datePublished": page.published_on.isoformat(), "abstract": page.abstract,
            "url": _full(request, page.url), "sameAs": [s for s in dict.fromkeys(same) if s],
            "identifier": page.doi or (f"arXiv:{page.arxiv_id}" if page.arxiv_id else ""),
            "isPartOf": {"@type": "PublicationVolume", "name": page.venue} if page.venue else {},
            "license": _licence(page.licence),
            "keywords": [tag.name for tag in page.tags.all()],
            "encoding": {
                "@type": "MediaObject", "contentUrl": _full(request, page.pdf_link),
                "encodingFormat": "application/pdf",
            } if page.pdf_link else {},
        }
    )  # fmt: skip


def source_code(page: "NotebookPage", request: HttpRequest) -> dict[str, Any]:
    """A SoftwareSourceCode for a notebook."""
    return _kept(
        {
            "@context": "https://schema.org", "@type": "SoftwareSourceCode", "name": page.title,
            "description": page.summary, "url": _full(request, page.url),
            "datePublished": page.published_on.isoformat(),
            "programmingLanguage": "Python", "runtimePlatform": "Jupyter",
        }
    )  # fmt: skip


def dataset(page: "DatasetPage", request: HttpRequest) -> dict[str, Any]:
    """A Dataset; its description is at least 50 characters, as search engines ask."""
    file = page.file
    return _kept(
        {
            "@context": "https://schema.org", "@type": "Dataset", "name": page.title,
            "description": page.summary if len(page.summary) >= 50
            else f"{page.title}: {page.summary} {page.items} images.",
            "url": _full(request, page.url), "sameAs": page.home_url,
            "license": _licence(page.licence), "datePublished": page.published_on.isoformat(),
            "distribution": [
                {"@type": "DataDownload", "contentUrl": _full(request, file.url)}
            ] if file else [],
        }
    )  # fmt: skip
