"""A function called for each selected object, in threads, in processes or on a Dask cluster, and its results."""
