"""Detections against the truth and against 4FGL: matching, rates, comparison, figures."""

from .compare import Comparison, compare
from .files import compare_files, evaluate_files, read_truth_table
from .headline import threshold_at_purity
from .match import Matcher, Matches, match
from .rates import Rate
from .scores import Scores, score

__all__ = [
    "Comparison",
    "Matcher",
    "Matches",
    "Rate",
    "Scores",
    "compare",
    "compare_files",
    "evaluate_files",
    "match",
    "read_truth_table",
    "score",
    "threshold_at_purity",
]
