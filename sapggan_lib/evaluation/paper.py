"""What the paper reports, as data. Another protocol than ours: compare orderings and ratios only.

Ko, Cho, Chung: GAN-based research for high-resolution medical image generation (in Korean).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

EPOCHS = (10, 50, 100, 150)
TABLE_1 = {  # FID on chest radiographs by epoch
    "DCGAN": (9045.36, 8045.15, 8195.39, 7853.76),
    "PGGAN": (305.43, 105.94, 208.36, 207.46),
    "StyleGAN": (206.53, 90.63, 109.34, 305.28),
    "Self Attention PGGAN": (35.36, 28.57, 20.34, 18.09),
}


def paper_table_1() -> "pd.DataFrame":
    """The paper's Table 1: a row per method, a column per epoch."""
    import pandas as pd

    frame = pd.DataFrame(TABLE_1, index=[f"epoch {epoch}" for epoch in EPOCHS]).T
    return frame.rename_axis("method").reset_index()
