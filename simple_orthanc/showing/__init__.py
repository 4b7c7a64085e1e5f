"""How things look: values made safe to show, blocks of text and HTML, and short tracebacks."""
