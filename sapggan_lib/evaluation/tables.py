"""The paper's tables from scores: CSV for programs, Markdown for people, LaTeX for papers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import write_text
from sapggan_lib.evaluation import paper

if TYPE_CHECKING:
    import pandas as pd

By = Literal["epoch", "kimg", "hours"]
UNITS = {"epoch": "epoch {:g}", "kimg": "{:g} kimg", "hours": "{:.3g} h"}
ANOTHER_PROTOCOL = "paper, another protocol"
NAMES = {
    "sapggan": "Self Attention PGGAN", "pggan": "PGGAN", "stylegan": "StyleGAN", "dcgan": "DCGAN",
    "se": "squeeze and excitation", "sagan": "SAGAN self-attention", "ra-hinge": "RA-hinge", "wgan-gp": "WGAN-GP",
}  # fmt: skip


@dataclass(frozen=True)
class Score:
    """One score of one method at one point of its training."""

    method: str                      # a row of the table: a model, a loss, an attention
    value: float
    low: float | None = None         # 95 % interval
    high: float | None = None
    floor: float | None = None       # real against real at the same N
    epoch: float | None = None
    kimg: float | None = None
    hours: float | None = None       # device hours
    metric: str = "FD"
    extractor: str = "efficientnet-lite0"
    n: int | None = None             # images a side


@dataclass(frozen=True)
class Table:
    """Rows of text under a header, with the protocol as its caption. `best`: cells whose interval beats all others."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]]         # row, column
    caption: str
    scores: tuple[Score, ...]

    def frame(self) -> "pd.DataFrame":
        """The scores as numbers, a row each, with the columns of `Score`."""
        import pandas as pd

        return pd.DataFrame([vars(score) for score in self.scores])

    def markdown(self) -> str:
        """A Markdown table, best cells bold, the caption under it."""
        lines = [self.header, tuple("---" for _ in self.header), *self._marked("**{}**")]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{self.caption}\n"

    def latex(self) -> str:
        """A LaTeX `table` (booktabs), best cells bold."""
        rows = [" & ".join(_tex(cell) for cell in row) + r" \\" for row in self._marked("\\textbf{{{}}}")]
        columns = "l" + "r" * (len(self.header) - 1)
        head = " & ".join(_tex(cell) for cell in self.header) + r" \\"
        body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
        caption = rf"\caption{{{_tex(self.caption)}}}"
        return "\n".join([r"\begin{table}", r"\centering", *body, r"\end{tabular}", caption, r"\end{table}", ""])

    def save(self, stem: Path | str) -> list[Path]:
        """Write `stem`.csv (numbers), .md and .tex; returns their paths."""
        paths = [Path(f"{stem}.{ending}") for ending in ("csv", "md", "tex")]
        for path, text in zip(paths, (self.frame().to_csv(index=False), self.markdown(), self.latex()), strict=True):
            write_text(path, text)
        return paths

    def _marked(self, mark: str) -> list[tuple[str, ...]]:
        return [
            tuple(mark.format(cell) if (i, j) in self.best else cell for j, cell in enumerate(row))
            for i, row in enumerate(self.rows)
        ]


def table1(scores: Iterable[Score], by: By = "epoch") -> Table:
    """Table 1: a row per method, a column per `by` (epoch, kimg, device hours).

    Where all columns are epochs of the paper's, its rows stand under ours; they are of another protocol and marked so.
    """
    table = pivot(scores, by)
    places = {UNITS["epoch"].format(epoch): number for number, epoch in enumerate(paper.EPOCHS)}
    if not set(table.header[1:]) <= places.keys():
        return table
    theirs = []
    for method, values in paper.TABLE_1.items():
        cells = (f"{values[places[column]]:.2f}" if column in places else "" for column in table.header[1:])
        theirs.append((f"{method} ({ANOTHER_PROTOCOL})", *cells))
    return Table(table.header, (*table.rows, *theirs), table.best, table.caption, table.scores)


def loss_ablation(scores: Iterable[Score], by: By = "kimg") -> Table:
    """A row per loss (`Score.method`: a key of `LOSSES`), a column per `by`."""
    return pivot(scores, by, "loss")


def attention_ablation(scores: Iterable[Score], by: By = "kimg") -> Table:
    """A row per attention (`Score.method`: "se", "sagan", "none"), a column per `by`."""
    return pivot(scores, by, "attention")


def pivot(scores: Iterable[Score], by: By = "epoch", what: str = "method") -> Table:
    """Scores of one metric and protocol as a table: a row per `what`, a column per value of `by`, lower is better.

    Raises `SapgganError` for no scores, for scores without `by`, and for those of different metrics or extractors.
    """
    scores = tuple(scores)
    if not scores:
        raise SapgganError("no scores for the table; evaluate at least one method first")
    if len({(score.metric, score.extractor) for score in scores}) > 1:
        raise SapgganError("scores of different metrics or extractors cannot share a table; make one table for each")
    missing = [score.method for score in scores if getattr(score, by) is None]
    if missing:
        raise SapgganError(f'score of {missing[0]} has no "{by}"; give it, or choose another column')
    methods = list(dict.fromkeys(score.method for score in scores))
    columns = sorted({getattr(score, by) for score in scores})
    cells = {(methods.index(score.method), columns.index(getattr(score, by)) + 1): score for score in scores}
    rows = tuple(
        (NAMES.get(method, method), *(_cell(cells.get((i, j + 1))) for j in range(len(columns))))
        for i, method in enumerate(methods)
    )
    best = frozenset(
        place for j in range(1, len(columns) + 1)
        for place in _best({place: score for place, score in cells.items() if place[1] == j})
    )
    header = (what, *(UNITS[by].format(column) for column in columns))
    return Table(header, rows, best, _caption(scores), scores)


def _best(column: dict[tuple[int, int], Score]) -> list[tuple[int, int]]:
    """The place of the lowest score, if its interval lies below every other one's."""
    if len(column) < 2 or any(score.low is None or score.high is None for score in column.values()):
        return []
    first, *others = sorted(column, key=lambda place: column[place].value)
    return [first] if all(column[first].high < column[other].low for other in others) else []  # type: ignore[operator]


def _cell(score: Score | None) -> str:
    if score is None:
        return ""
    if score.low is None or score.high is None:
        return f"{score.value:.4g}"
    return f"{score.value:.4g} [{score.low:.4g}, {score.high:.4g}]"


def _caption(scores: Sequence[Score]) -> str:
    sizes = sorted({score.n for score in scores if score.n})
    floors = [score.floor for score in scores if score.floor is not None]
    images = f", N = {', '.join(f'{n:,}' for n in sizes)} images a side" if sizes else ""
    ends = dict.fromkeys(f"{end(floors):.4g}" for end in (min, max)) if floors else ()
    floor = f" Real against real: {' to '.join(ends)}." if ends else ""
    return (
        f"{scores[0].metric} ({scores[0].extractor}){images}, averaged (EMA) weights; 95 % intervals in brackets, "
        f"bold where the best one's interval overlaps no other.{floor}"
    )


def _tex(text: str) -> str:
    for character in "&%#_":
        text = text.replace(character, "\\" + character)
    return text
