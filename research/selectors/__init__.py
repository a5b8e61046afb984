"""Reads for pages."""

from research.selectors.figures import AnswerFigure, answer_figure
from research.selectors.library import (
    CARD_PICTURE,
    Chrome,
    appeared,
    chrome,
    docs_neighbours,
    docs_tree,
    latest,
    notebook,
    paper,
    papers_of,
    pictures_prefetch,
    plain,
    research_hub,
    roadmap,
    shelf,
    site_name,
    site_texts,
    teaser,
    words,
)
from research.selectors.readable import in_time, readable
from research.selectors.reference import api_reference, register_schema
from research.selectors.searching import Found, search_pages
from research.selectors.stages import StageLinks, stage_links

__all__ = [
    "CARD_PICTURE", "AnswerFigure", "Chrome", "Found", "StageLinks", "answer_figure", "api_reference", "appeared", "chrome",
    "docs_neighbours", "docs_tree", "in_time", "latest", "notebook", "paper", "papers_of", "pictures_prefetch", "plain",
    "readable", "register_schema", "research_hub", "roadmap", "search_pages", "shelf", "site_name", "site_texts", "stage_links", "teaser",
    "words",
]  # fmt: skip
