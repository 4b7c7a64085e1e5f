"""Private elements that may stay with the Retain Safe Private Option (DICOM PS3.15, section E.3.10).

Those of Table E.3.10-1 are, found by their creator wherever their block lies. What an object claims of its own private
elements in Private Data Element Characteristics Sequence (0008,0300) is not believed.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.dataset import Dataset

from simple_orthanc.deidentification.table import safe_private
from simple_orthanc.dicom import header as elements

_FIRST_BLOCK = 0x10


def safe_elements(dataset: Dataset) -> Mapping[int, str]:
    """Find the private elements of a dataset that are safe, and the creators of their blocks.

    Returns
    -------
    Mapping of int to str
        Tags, with the VR that Table E.3.10-1 has; "LO" for a creator, "" where the table states none.

    Examples
    --------
    >>> dataset = Dataset()
    >>> block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    >>> block.add_new(0x0C, "IS", "1000")
    >>> block.add_new(0x08, "CS", "IMAGE NUM 4")
    >>> [(hex(tag), vr) for tag, vr in safe_elements(dataset).items()]
    [('0x190010', 'LO'), ('0x19100c', 'IS')]
    """
    safe, found = safe_private(), {}
    for tag in sorted(dataset.keys()):
        block = tag.element >> 8
        if not tag.is_private or block < _FIRST_BLOCK:
            continue
        creator_tag = tag.group << 16 | block
        creator = elements.text(dataset, creator_tag)
        vr = safe.get((creator, tag.group, tag.element & 0xFF))
        if vr is not None:
            found[creator_tag] = "LO"
            found[int(tag)] = vr
    return found
