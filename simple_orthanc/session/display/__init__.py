"""How a session looks: in words, as a line, as a block of text, and in a notebook; without a request."""

from simple_orthanc.session.display.words import counted, location

__all__ = ["counted", "location"]
