"""Sections that pages are made of."""

from research.blocks.article import ARTICLE, DETAILS
from research.blocks.home import (
    DomainsBlock,
    FactsBlock,
    PipelineBlock,
    PlaygroundBlock,
    RoadmapBlock,
    SdkBlock,
    TeaserBlock,
)
from research.blocks.media import MEDIA
from research.blocks.prices import CalculatorBlock, CreditsBlock, PlansBlock
from research.blocks.sections import (
    CallBlock,
    CodeBlock,
    FeatureBlock,
    HeroBlock,
    ProseBlock,
    RowsBlock,
    VariantsBlock,
)

SECTIONS = [
    ("hero", HeroBlock()),
    ("playground", PlaygroundBlock()),
    ("teaser", TeaserBlock()),
    ("pipeline", PipelineBlock()),
    ("variants", VariantsBlock()),
    ("sdk", SdkBlock()),
    ("domains", DomainsBlock()),
    ("facts", FactsBlock()),
    ("roadmap", RoadmapBlock()),
    ("plans", PlansBlock()),
    ("calculator", CalculatorBlock()),
    ("credits", CreditsBlock()),
    ("feature", FeatureBlock()),
    ("rows", RowsBlock()),
    ("prose", ProseBlock()),
    ("code", CodeBlock()),
    ("call", CallBlock()),
    *MEDIA,
]

__all__ = ["ARTICLE", "DETAILS", "SECTIONS"]
