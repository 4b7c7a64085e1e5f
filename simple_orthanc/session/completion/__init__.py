"""What Tab offers in code that uses a session, in IPython, Jupyter and the plain Python prompt."""
