"""Scores of generated radiographs: never a number without its protocol and its noise floor."""

from sapggan_lib.evaluation.coverage import Neighbours, coverage_scores, diversity, ms_ssim, nearest_neighbours
from sapggan_lib.evaluation.curve import FrechetCallback
from sapggan_lib.evaluation.features import Extractor, Features, build_extractor, extract_features, load_images
from sapggan_lib.evaluation.frechet import frechet_distance, frechet_infinity
from sapggan_lib.evaluation.kernel import kernel_distance
from sapggan_lib.evaluation.networks import find_inception, is_inception
from sapggan_lib.evaluation.paper import table_1
from sapggan_lib.evaluation.scores import Evaluation, Interval, evaluate, jackknife
from sapggan_lib.evaluation.summaries import at_equal_hours, final_by_group, over_seeds, stability
from sapggan_lib.evaluation.tables import Score, Table, attention_ablation, loss_ablation, pivot, table1
