"""Acting on what is selected: what an act touches, what becomes of each object, and the acts themselves."""
