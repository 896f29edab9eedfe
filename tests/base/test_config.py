import json

import pytest

from sapggan_lib.base.config import PreprocessConfig, from_mapping, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import ModelConfig
from sapggan_lib.training import TrainConfig


def test_round_trip_through_json_gives_the_same_configuration():
    config = TrainConfig(model=ModelConfig(name="pggan", widths=(64, 64, 32)), kimg=2.5)
    assert from_mapping(TrainConfig, json.loads(json.dumps(to_mapping(config))), "a file") == config


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"sise": 64}, 'prep.yml: unknown key "sise"; did you mean "size"?'),
        ({"size": "64"}, "prep.yml: \"size\" must be int, not str '64'"),
        ({"size": True}, 'prep.yml: "size" must be int, not bool True'),
        (
            {"format": "pickel"},
            "prep.yml: \"format\" must be one of npy, pickle, not 'pickel'; did you mean \"pickle\"?",
        ),
        ({"channels": 2}, 'prep.yml: "channels" must be one of 1, 3, not 2'),
    ],
)
def test_wrong_keys_and_types_are_refused_with_the_place_and_the_near_match(mapping, message):
    with pytest.raises(SapgganError) as error:
        from_mapping(PreprocessConfig, mapping, "prep.yml")
    assert str(error.value) == message


def test_nested_errors_name_the_outer_key():
    with pytest.raises(SapgganError, match=r'run\.yml: "model": unknown key "widhts"; did you mean "widths"\?'):
        from_mapping(TrainConfig, {"model": {"widhts": [8]}}, "run.yml")


def test_whole_numbers_are_taken_for_floats_and_lists_for_tuples():
    config = from_mapping(TrainConfig, {"kimg": 3, "model": {"widths": [8, 8]}}, "run.yml")
    assert (config.kimg, type(config.kimg), config.model.widths) == (3.0, float, (8, 8))
