"""Figures in one style: images, networks, trainings and scores. Data and `ax` in, `ax` out."""

from sapggan_lib.figures.scores import (
    plot_changes,
    plot_dead_steps,
    plot_floor,
    plot_frechet_curves,
    plot_groups,
    plot_logit_gradients,
    plot_losses,
    plot_neighbours,
    plot_seed_curves,
    plot_spread,
)
from sapggan_lib.figures.style import (
    MARKERS,
    PALETTE,
    plot_architecture,
    plot_by_resolution,
    plot_counts,
    plot_gated_maps,
    plot_gates,
    plot_histograms,
    plot_images,
    plot_loss_shapes,
    plot_pyramid,
    save_figure,
    use_style,
)
