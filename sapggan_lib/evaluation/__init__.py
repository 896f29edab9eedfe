"""Scores of generated radiographs: never a number without its protocol and its noise floor."""

from sapggan_lib.evaluation.coverage import Neighbours, coverage_scores, nearest_neighbours
from sapggan_lib.evaluation.diversity import diversity, ms_ssim
from sapggan_lib.evaluation.features import Extractor, Features, check_images, extract_features, load_images
from sapggan_lib.evaluation.frechet import frechet_distance, frechet_infinity
from sapggan_lib.evaluation.kernel import kernel_distance
from sapggan_lib.evaluation.networks import EXTRACTORS, build_extractor, find_inception, is_inception, lite0_maps
from sapggan_lib.evaluation.paper import paper_table_1
from sapggan_lib.evaluation.scores import METRICS, Evaluation, FrechetCallback, Metric, evaluate
from sapggan_lib.evaluation.summaries import at_equal_hours, improvement, last_scores, over_seeds, progress, stability
from sapggan_lib.evaluation.tables import NAMES, Table, floor_size, score_frame, score_rows, score_table, table_1
