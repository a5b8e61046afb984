"""The tasks there are, with their metrics; the first metric ranks unless a benchmark chooses another."""

from collections.abc import Mapping

from leaderboard.scoring import preflight, reading, series
from leaderboard.scoring.types import Metric, Task

_PTB = "ptb-lite 2"
_CAPTION_METRICS = (
    Metric("cider_d", "CIDEr-D", "Vedantam et al. 2015, as COCO computes it; document frequencies of the whole split.",
           unit="", scale=1.0, digits=3, tokeniser=_PTB, version=2, bounds=(0.0, 10.0)),
    *(Metric(f"bleu{n}", f"BLEU-{n}", "Papineni et al. 2002, as COCO computes it: closest reference length, no smoothing.",
             tokeniser=_PTB, version=2) for n in (4, 3, 2, 1)),
    Metric("rouge_l", "ROUGE-L", "Lin 2004, as COCO computes it: β = 1.2.", tokeniser=_PTB, version=2),
)  # fmt: skip
_ANSWER_METRICS = (
    Metric("vqa_accuracy", "VQA accuracy", "Antol et al. 2015: min(1, matches / 3), each of the human answers left out in turn.",
           tokeniser="vqa-official"),
    Metric("exact_match", "Exact match", "Equal to one of the answers but for case and outer blanks."),
    Metric("anls", "ANLS", "Biten et al. 2019: normalised Levenshtein similarity, 0 below one half; blanks are one space each.", version=2),
)  # fmt: skip
_COUNT_METRICS = (
    Metric("count_accuracy", "Accuracy", "The count is right; a number or its word, nothing is picked out of a sentence."),
    Metric("off_by_one", "Within one", "The count is at most one off."),
    Metric("count_mae", "MAE", "Mean absolute error; what is no number counts as 0.", unit="", scale=1.0,
           digits=3, higher_is_better=False, bounds=(0.0, None)),
)  # fmt: skip
_YES_NO_METRICS = (
    Metric("accuracy", "Accuracy", "Li et al. 2023 (POPE), with its own reading of answers.", tokeniser="pope-official"),
    Metric("f1", "F1", "Of yes.", tokeniser="pope-official"),
    Metric("precision", "Precision", "Of yes.", tokeniser="pope-official"),
    Metric("recall", "Recall", "Of yes.", tokeniser="pope-official"),
    Metric("yes_ratio", "Yes ratio", "Share of predictions that say yes; one half is the truth here, more is no better.",
           tokeniser="pope-official"),
)  # fmt: skip
_BOX_METRICS = (
    Metric("f1_50", "F1 @ 0.5", "F1 of boxes matched at an IoU of one half, the mean over images; needs no scores.", version=2),
    Metric("map", "mAP", "COCO's AP at IoU .50:.05:.95; only where every box has a score.", version=2),
    Metric("ap50", "AP50", "COCO's AP at an IoU of .50.", version=2),
    Metric("ap75", "AP75", "COCO's AP at an IoU of .75.", version=2),
)  # fmt: skip
_POINT_METRICS = (
    Metric("point_f1", "F1 in box", "F1 of points that lie in a box of their own, the mean over images."),
    Metric("point_error", "Point error", "Mean distance to the centre in parts of the image's side; 0.5 for one not found.",
           unit="", scale=1.0, digits=4, higher_is_better=False, bounds=(0.0, 2**0.5)),
)  # fmt: skip


_BOX = {"x_min": 0.1, "y_min": 0.2, "x_max": 0.4, "y_max": 0.5, "label": "person", "score": 0.9}
_BOX_GUIDE = (
    f"Coordinates are 0..1 of the image; up to {reading.EDGE:g} beyond is cut off. `label` is the class, as the references of a public "
    "split write it; where they have none it is not read. `score` is how sure the model is, any number, higher first; "
    "`confidence`, as /v1/detect returns it, is read as `score`. Average precision needs one for every box. "
    f"As in COCO the best 100 boxes of a class in an image count; at most {reading.MAX_BOXES:,} are read."
)
_TEXT_GUIDE = f"A string of up to {reading.MAX_TEXT:,} characters. Every item needs a line."
TASKS: Mapping[str, Task] = {
    task.slug: task
    for task in (
        Task("caption", "Captioning", "caption", {"caption": "A red circle on white."}, _CAPTION_METRICS,
             reading.caption, series.captions, preflight.Captions, _TEXT_GUIDE),
        Task("vqa", "Question answering", "query", {"answer": "red"}, _ANSWER_METRICS, reading.answer, series.answers,
             preflight.Texts, _TEXT_GUIDE),
        Task("counting", "Counting", "query", {"answer": "3"}, _COUNT_METRICS, reading.answer, series.counts,
             preflight.Counts, "A numeral, or a word to twenty, and nothing else: “10 cups” is no number. Every item needs a line."),
        Task("hallucination", "Object hallucination", "query", {"answer": "no"}, _YES_NO_METRICS, reading.answer, series.yes_no,
             preflight.YesNo, "Read as POPE does: “No”, “no” or “not” before the first full stop is no, all else is yes. Every item needs a line."),
        Task("detection", "Detection", "detect", {"objects": [_BOX]}, _BOX_METRICS, reading.boxes, series.boxes,
             preflight.Boxes, _BOX_GUIDE, line_bytes=512 * 1024),
        Task("pointing", "Pointing", "point", {"points": [{"x": 0.25, "y": 0.35}]}, _POINT_METRICS, reading.points, series.points,
             preflight.Points, f"Coordinates are 0..1 of the image; up to {reading.EDGE:g} beyond is cut off. At most {reading.MAX_POINTS} points are read."),
    )
}  # fmt: skip
