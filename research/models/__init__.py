"""What editors publish."""

from research.models.base import Accent, BasePage
from research.models.docs import DocsArticlePage, DocsPage, DocsSectionPage
from research.models.gallery import (
    DatasetPage,
    DatasetsPage,
    DatasetTag,
    NotebookPage,
    NotebooksPage,
    NotebookTag,
)
from research.models.library import (
    Author,
    PaperBoard,
    PaperPage,
    PaperSection,
    PapersPage,
    PaperTag,
    PaperVersion,
    ResearchPage,
    ShelfPage,
)
from research.models.links import BrokenLink
from research.models.news import (
    ChallengePage,
    ChallengesPage,
    ChallengeTag,
    ReleasePage,
    ReleasesPage,
    ReleaseTag,
    RoadmapItemPage,
    RoadmapPage,
)
from research.models.pages import HomePage, LegalPage, StandardPage
from research.models.runs import NotebookRun
from research.models.site import Announcement, Navigation, NavigationLink
from research.models.starter import StarterLoad, StarterText
from research.models.texts import SiteTexts

__all__ = [
    "Accent", "Announcement", "Author", "BasePage", "BrokenLink", "ChallengePage", "ChallengeTag", "ChallengesPage",
    "DatasetPage", "DatasetTag", "DatasetsPage", "DocsArticlePage", "DocsPage", "DocsSectionPage",
    "HomePage", "LegalPage", "Navigation", "NavigationLink", "NotebookPage", "NotebookRun",
    "NotebookTag",
    "NotebooksPage", "PaperBoard", "PaperPage", "PaperSection", "PaperTag", "PaperVersion", "PapersPage",
    "ReleasePage", "ReleaseTag", "ReleasesPage", "ResearchPage", "RoadmapItemPage", "RoadmapPage",
    "ShelfPage", "SiteTexts", "StandardPage", "StarterLoad", "StarterText",
]  # fmt: skip
