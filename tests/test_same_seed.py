"""Same seed, same machine: identical tables."""

import re

import pandas as pd

from sapggan_lib.plan import plan
from sapggan_lib.runs import run


def test_the_same_seed_gives_the_same_tables(tmp_path):
    small = {"n_phantom": 40, "size": 16, "samples": 8, "04.models": ["dcgan", "sapggan"],
             "04.widths": [8, 8, 8], "04.epochs": [1, 2], "04.equal_time": False}  # fmt: skip

    def tables(folder):
        run(plan(["04"], "smoke", small), folder, "smoke")
        found = {}
        for path in sorted((folder / "results").glob("*")):
            if path.suffix == ".csv":
                table = pd.read_csv(path)
                times = [name for name in table if name == "hours" or name.startswith("seconds")]
                found[path.name] = table.drop(columns=times).to_csv()
            elif "hours" not in path.name:
                found[path.name] = re.sub(r'"hours": [^,]*', "", path.read_text())
        return found

    first, second = (tables(tmp_path / name) for name in ("first", "second"))
    assert first == second
    assert {"01_outcomes.csv", "04_scores.json"} <= first.keys()
