from sapggan_lib import figures


def test_saving_a_figure_twice_gives_the_same_bytes(ax, tmp_path):
    ax.plot([1, 2])
    first = [path.read_bytes() for path in figures.save_figure(ax.figure, tmp_path, "a")]
    second = [path.read_bytes() for path in figures.save_figure(ax.figure, tmp_path, "b")]
    assert first == second and (tmp_path / "a.png").exists() and (tmp_path / "a.pdf").exists()
