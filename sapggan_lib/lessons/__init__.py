"""One module a notebook, with what it needs beside the other rooms; and the widgets."""
