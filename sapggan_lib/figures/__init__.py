"""Every figure of the project: data and `ax` in, `ax` out; one style."""

from sapggan_lib.figures.images import plot_counts, plot_gated_maps, plot_histograms, plot_images
from sapggan_lib.figures.networks import (
    plot_architecture,
    plot_by_resolution,
    plot_dead_steps,
    plot_gates,
    plot_logit_gradients,
    plot_loss_shapes,
    plot_losses,
    plot_spread,
)
from sapggan_lib.figures.scores import (
    plot_changes,
    plot_floor,
    plot_frechet_curves,
    plot_gaussians,
    plot_groups,
    plot_improvement,
    plot_neighbours,
)
from sapggan_lib.figures.style import MARKERS, PALETTE, save_figure, use_style
