"""Papers from elsewhere: read from BibTeX, or asked for by DOI or arXiv id."""

from research.importing.found import Author, Found
from research.importing.reading import MOST, MOST_AT_ONCE, read

__all__ = ["MOST", "MOST_AT_ONCE", "Author", "Found", "read"]
