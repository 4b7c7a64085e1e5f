"""Deletes by DICOMweb, which names a study, series or instance by its UID alone."""

from __future__ import annotations

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.errors import NotFoundError, UnsupportedError
from simple_orthanc.sources.dicomweb.queries import Queries
from simple_orthanc.sources.dicomweb.rows import RowBuilder
from simple_orthanc.sources.keys import Key


def delete_object(rest: Transactions, queries: Queries, rows: RowBuilder, level: Level, key: Key) -> bool:
    """Delete a study, series or instance and everything below it; return False if it was gone already.

    Raises
    ------
    UnsupportedError
        If the server does not offer it; or if the object shares its UID with one of another patient, so that nobody can
        say which of them would be deleted.
    """
    rows.patients.pop(key.study, None)
    rows.build("study", queries.search("study", {"StudyInstanceUID": key.study}))
    if rows.is_shared(key):
        raise UnsupportedError(
            f"StudyInstanceUID {key.study} exists under {len(rows.patients[key.study])} patients. DICOMweb deletes by "
            "UIDs alone, and might delete the other's. Nothing was deleted."
        )
    try:
        if level == "study":
            rest.delete_study(key.study)
        elif level == "series":
            rest.delete_series(key.study, key.series)
        else:
            rest.delete_instance(key.study, key.series, key.instance)
    except NotFoundError:
        return False
    return True
