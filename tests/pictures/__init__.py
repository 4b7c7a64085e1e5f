"""Pictures of what a browser shows of a notebook, made and checked by ``make pictures``."""
