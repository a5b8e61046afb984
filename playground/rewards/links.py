"""Where each term is defined: plain addresses, as the pages belong to a room above.

A test loads the starter's library and checks that every one of them exists.
"""

PAPERS = "/research/papers"
DOCS = "/docs/pipeline/rewards/"
TERM_LINKS: dict[str, tuple[str, str]] = {
    "bleu": (f"{PAPERS}/bleu/#sec-precision", "Papineni et al. 2002, modified n-gram precision"),
    "cider": (f"{PAPERS}/cider/#sec-cider-d", "Vedantam et al. 2015, CIDEr-D"),
    "exact": (f"{DOCS}#exact-answer", "how this site defines it"),
    "length": (f"{PAPERS}/ifeval/#sec-length", "Zhou et al. 2023, length constraints"),
    "brevity": (f"{DOCS}#brevity", "how this site defines it"),
    "json": (f"{PAPERS}/ifeval/#sec-format", "Zhou et al. 2023, detectable format"),
    "keywords": (f"{PAPERS}/ifeval/#sec-keywords", "Zhou et al. 2023, keywords"),
    "regex": (f"{DOCS}#pattern", "how this site defines it"),
    "iou": (f"{PAPERS}/pascal-voc/#sec-overlap", "Everingham et al. 2010, overlap of boxes"),
    "points": (f"{DOCS}#points-inside", "how this site defines it"),
    "count": (f"{DOCS}#count", "how this site defines it"),
    "repetition": (f"{PAPERS}/unlikelihood/#sec-seq-rep", "Welleck et al. 2019, seq-rep-n"),
}
PARAMETER_LINKS: dict[tuple[str, str], tuple[str, str]] = {
    ("bleu", "order"): (
        f"{PAPERS}/sentence-bleu/#sec-smoothing",
        "Chen & Cherry 2014, smoothing 2",
    ),
    ("cider", "corpus"): (f"{DOCS}#cider-d", "which corpus"),
}
TOTAL_LINK = (f"{PAPERS}/grpo/#sec-grpo", "Shao et al. 2024, how totals become advantages")


def all_links() -> list[str]:
    """Every address."""
    return [url for url, _ in (*TERM_LINKS.values(), *PARAMETER_LINKS.values(), TOTAL_LINK)]
