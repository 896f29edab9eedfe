"""A generator on one web page that opens from a file and loads nothing."""

from sapggan_lib.page.of_run import write_run_page
from sapggan_lib.page.write import write_page
