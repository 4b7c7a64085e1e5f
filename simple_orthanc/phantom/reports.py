"""Structured reports about synthetic images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from simple_orthanc.phantom.images import common_tags, dataset_of, identifiers, patient_and_study, with_file_meta

_BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
_HEADINGS = {"Finding": "121071", "Impression": "121073", "Conclusion": "121077"}


def make_report(image: Dataset, texts: Mapping[str, str], *, seed: int | None = None, **keywords: Any) -> Dataset:
    """Make a report of text (Basic Text SR, PS3.3 A.35.1) in the study of an image.

    Parameters
    ----------
    image : pydicom.Dataset
        An image of the study.
    texts : mapping
        "Finding", "Impression" or "Conclusion" to text.
    seed : int, optional
        The same number makes the same UIDs.
    **keywords
        DICOM keywords of the object.

    Returns
    -------
    pydicom.Dataset
        Complete with file meta information. It is complete and not verified.

    Raises
    ------
    KeyError
        A heading is none of these.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> report = make_report(make_series((1, 4, 4))[0], {"Impression": "Normal."})
    >>> report.Modality, report.ContentSequence[0].TextValue
    ('SR', 'Normal.')
    """
    uids = identifiers(seed, 1, keywords, image)
    entropy = None if seed is None else ["simple_orthanc", str(seed), str(image.SeriesInstanceUID), "report"]
    tags: dict[str, Any] = {
        **common_tags("SR", uids),
        **patient_and_study(image),
        "SOPClassUID": _BASIC_TEXT,
        "SOPInstanceUID": uids["instances"][0],
        "SeriesInstanceUID": str(generate_uid(entropy_srcs=entropy)),
        "FrameOfReferenceUID": None,
        "PositionReferenceIndicator": None,
        "ReferencedPerformedProcedureStepSequence": (),
        "PerformedProcedureCodeSequence": (),
        "InstanceNumber": 1,
        "ContentDate": "20200101",
        "ContentTime": "120000",
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "UNVERIFIED",
        "ValueType": "CONTAINER",
        "ContinuityOfContent": "SEPARATE",
        "ConceptNameCodeSequence": (_code("18748-4", "LN", "Diagnostic imaging study"),),
        "ContentSequence": tuple(_text(heading, text) for heading, text in texts.items()),
    }
    return with_file_meta(dataset_of({**tags, **keywords}))


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return dataset_of({"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning})


def _text(heading: str, text: str) -> Dataset:
    return dataset_of(
        {
            "RelationshipType": "CONTAINS",
            "ValueType": "TEXT",
            "ConceptNameCodeSequence": (_code(_HEADINGS[heading], "DCM", heading),),
            "TextValue": text,
        }
    )
