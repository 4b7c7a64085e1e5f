"""Where images come from: each module makes one kind of place answer the same few questions.

`base` says which questions; nothing above this package asks what kind of source it has.
"""
