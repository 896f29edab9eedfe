"""Scores of trainings as one tidy frame, and the paper's tables from it: CSV, Markdown, LaTeX."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import write_text
from sapggan_lib.base.images import COLLAPSE
from sapggan_lib.evaluation.paper import paper_table_1
from sapggan_lib.evaluation.summaries import is_clear, over_seeds

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "method",                          # a row of a table: a model, a loss, an attention
    "seed",                            # which of the method's trainings; missing where it has one
    "value", "low", "high",            # the score and its 95 % interval over images; over seeds in `over_seeds`
    "floor", "floor_n",                # real against real, at so many images a side: n, or what there were
    "variety",                         # spread of the samples, as a share of the data's
    "epoch", "kimg", "hours",          # how far the training was; device hours
    "metric", "extractor", "n",        # n: images a side
)  # fmt: skip
By = Literal["epoch", "kimg", "hours"]
UNITS: dict[By, str] = {"epoch": "epoch {:g}", "kimg": "{:g} kimg", "hours": "{:.3g} h"}
ANOTHER_PROTOCOL = "paper, another protocol"
NAMES = {
    "sapggan": "Self Attention PGGAN", "pggan": "PGGAN", "stylegan": "StyleGAN", "dcgan": "DCGAN",
    "se": "squeeze and excitation", "sagan": "SAGAN self-attention", "none": "no attention",
    "ra-hinge": "RA-hinge", "wgan-gp": "WGAN-GP",
}  # fmt: skip


def score_frame(rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """The tidy frame of scores, with `COLUMNS`, from rows as results files have them.

    There a training's name is one text, "hinge, seed 0"; here it is a method and a seed.
    """
    import pandas as pd

    frame = pd.DataFrame(list(rows)).reindex(columns=list(COLUMNS))
    name = frame["method"].astype(str).str.extract(r"^(?P<method>.*?)(?:, seed (?P<seed>\d+))?$")
    numbers = frame.drop(columns=["method", "seed", "metric", "extractor"]).apply(pd.to_numeric)
    return frame.assign(method=name["method"], seed=name["seed"].astype("Int64"), **numbers)


def score_rows(scores: "pd.DataFrame") -> list[dict[Any, Any]]:
    """The rows that `score_frame` takes, as plain values for JSON."""
    rows = _as_in_files(scores)
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def _as_in_files(scores: "pd.DataFrame") -> "pd.DataFrame":
    seeded = scores["method"] + ", seed " + scores["seed"].astype(str)
    return scores.assign(method=seeded.where(scores["seed"].notna(), scores["method"])).drop(columns="seed")


@dataclass(frozen=True)
class Table:
    """A table of text, its best cells bold, with the protocol as its caption."""

    cells: "pd.DataFrame"    # a row per method, a column per point of the training
    best: "pd.DataFrame"     # of the same shape: where the interval over seeds lies below all others of its column
    caption: str
    scores: "pd.DataFrame"   # what it shows: means over seeds

    def markdown(self) -> str:
        """A Markdown table, best cells bold, the caption under it."""
        cells = self.cells.mask(self.best, "**" + self.cells + "**").reset_index()
        lines: list[Iterable[str]] = [cells.columns, ["---"] * cells.shape[1], *cells.itertuples(index=False)]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{self.caption}\n"

    def latex(self) -> str:
        """A LaTeX `table` (booktabs), best cells bold."""
        cells = self.cells.map(_escape)
        cells = cells.mask(self.best, r"\textbf{" + cells + "}").rename(index=_escape, columns=_escape).reset_index()
        tabular = cells.to_latex(index=False, column_format="l" + "r" * self.cells.shape[1])
        caption = rf"\caption{{{_escape(self.caption)}}}"
        return "\n".join([r"\begin{table}", r"\centering", tabular + caption, r"\end{table}", ""])

    def save(self, stem: Path | str) -> list[Path]:
        """Write `stem`.csv (numbers), .md and .tex; returns their paths."""
        texts = {"csv": _as_in_files(self.scores).to_csv(index=False), "md": self.markdown(), "tex": self.latex()}
        for ending, text in texts.items():
            write_text(Path(f"{stem}.{ending}"), text)
        return [Path(f"{stem}.{ending}") for ending in texts]


def table_1(scores: "pd.DataFrame", by: By = "epoch") -> Table:
    """Table 1: a row per method, a column per value of `by`.

    Where all columns are epochs of the paper's, its rows stand under ours; they are of another protocol and marked so.
    """
    import pandas as pd

    table = score_table(scores, by)
    paper = paper_table_1().set_index("method")
    if not set(table.cells) <= set(paper):
        return table
    theirs = paper[list(table.cells)].map("{:.2f}".format).rename(index=f"{{}} ({ANOTHER_PROTOCOL})".format)
    cells = pd.concat([table.cells, theirs]).rename_axis("method")
    return replace(table, cells=cells, best=table.best.reindex(cells.index, fill_value=False))


def score_table(scores: "pd.DataFrame", by: By = "epoch", what: str = "method") -> Table:
    """Means over seeds of one metric and protocol: a row per method, headed `what`, a column per value of `by`.

    Lower is better; bold is the lowest of a column where its interval over seeds lies below every other one, so
    nothing where a method has one seed, and never a collapsed one (marked with a dagger). Raises `SapgganError` for
    no scores, for scores without `by`, and for those of different metrics, extractors or numbers of images.
    """
    if scores.empty:
        raise SapgganError("no scores for the table; evaluate at least one method first")
    if len(scores[["metric", "extractor", "n"]].drop_duplicates()) > 1:
        raise SapgganError("scores of different metrics, extractors or numbers of images cannot share a table; make "
                           "one table for each")
    missing = scores.loc[scores[by].isna(), "method"]
    if len(missing):
        raise SapgganError(f'score of {missing.iloc[0]} has no "{by}"; give it, or choose another column')
    means = over_seeds(scores, by)
    ranked = [column.sort_values("value") for _, column in means.groupby(by)]
    bold = [column.index[0] for column in ranked if is_clear(column) and not column["variety"].iloc[0] < COLLAPSE]
    long = means.assign(text=means.apply(_cell, axis=1), best=means.index.isin(bold))
    wide = long.pivot(index="method", columns=by, values=["text", "best"]).reindex(scores["method"].unique())
    wide = wide.rename(index=lambda method: NAMES.get(method, method)).rename_axis(what)
    wide = wide.rename(columns=UNITS[by].format, level=by)
    text, best = (wide[[part]].droplevel(0, axis=1).rename_axis(columns=None) for part in ("text", "best"))
    return Table(text.fillna(""), best.eq(True), _caption(means), means)


def _cell(score: "pd.Series") -> str:
    interval = "" if score[["low", "high"]].isna().any() else f" [{score['low']:.4g}, {score['high']:.4g}]"
    return f"{score['value']:.4g}{interval}{' †' if score['variety'] < COLLAPSE else ''}"


def _caption(means: "pd.DataFrame") -> str:
    """The protocol of means over seeds: metric, extractor, images, seeds, floor, and what the marks mean."""
    first, fewest = means.iloc[0], means["seeds"].min()
    images = "" if means["n"].isna().all() else f", N = {first['n']:,.0f} images a side"
    said = [f"{first['metric']} ({first['extractor']}){images}, averaged (EMA) weights, "]
    if fewest > 1:
        said[0] += (f"means over {_range(means['seeds'])} seeds with their 95 % intervals (Student's t), bold where "
                    "the lowest one's lies below all others.")  # fmt: skip
    else:
        said[0] += "one training (seed) in a row or more: nothing is bold, since another seed may turn the order round."
    if means["images"].notna().any():
        said.append(f"The sampling of images alone: ±{_range(means['images'], '.2g')} for a training.")
    if means["floor"].notna().any():
        said.append(f"Real against real, {floor_size(first)}: {_range(means['floor'])}.")
    if (means["variety"] < COLLAPSE).any():
        said.append("†: samples that spread over less than a quarter of what the data does: near copies of one image.")
    return " ".join(said)


def floor_size(score: "pd.Series") -> str:
    """At how many images a side the floor of a score was made, and whether that is what the score has."""
    if score["floor_n"] == score["n"]:
        return f"N = {score['n']:,.0f}"
    if not score["floor_n"] > 0:
        return "N unknown"
    return f"N = {score['floor_n']:,.0f} and so higher than at N = {score['n']:,.0f}, for want of real images"


def _range(values: "pd.Series", style: str = ".4g") -> str:
    return " to ".join(dict.fromkeys(f"{end:{style}}" for end in (values.min(), values.max())))


def _escape(text: str) -> str:
    return re.sub("([&%#_])", r"\\\1", text)
