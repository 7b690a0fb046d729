import logging

# What it finds odd in a file would stand beside the one line that says why a slide fails. Whoever
# sets up logging still gets it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
