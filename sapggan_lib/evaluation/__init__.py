"""Scores of generated radiographs: never a number without its protocol and its noise floor."""

from sapggan_lib.evaluation.coverage import Neighbours, coverage_scores, diversity, ms_ssim, nearest_neighbours
from sapggan_lib.evaluation.curve import FrechetCallback
from sapggan_lib.evaluation.features import Extractor, Features, build_extractor, extract_features, load_images
from sapggan_lib.evaluation.frechet import frechet_distance, frechet_infinity
from sapggan_lib.evaluation.kernel import kernel_distance
from sapggan_lib.evaluation.scores import Evaluation, Interval, evaluate
from sapggan_lib.evaluation.summaries import at_equal_hours, final_by_group, over_seeds, stability
from sapggan_lib.evaluation.tables import Score, Table, attention_ablation, loss_ablation, pivot, table1

__all__ = [
    "Evaluation", "Extractor", "Features", "FrechetCallback", "Interval", "Neighbours", "Score", "Table",
    "at_equal_hours", "attention_ablation", "build_extractor", "coverage_scores", "diversity", "evaluate",
    "extract_features", "final_by_group", "frechet_distance", "frechet_infinity", "kernel_distance", "load_images",
    "loss_ablation", "ms_ssim", "nearest_neighbours", "over_seeds", "pivot", "stability", "table1",
]  # fmt: skip
