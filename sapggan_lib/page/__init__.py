"""A generator on one web page that opens from a file and loads nothing."""

from sapggan_lib.page.write import write_page

__all__ = ["write_page"]
