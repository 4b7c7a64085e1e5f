"""The version of this library, where modules of every package can import it from."""

__version__ = "1.0.0"
