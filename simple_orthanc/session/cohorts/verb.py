"""The verb that freezes what is selected."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from simple_orthanc.session.looking import Looking

if TYPE_CHECKING:
    from simple_orthanc.selection.cohort import Checksums
    from simple_orthanc.session.cohorts.cohort import Cohort


class Freezing(Looking):
    """The verb of a session that freezes what is selected."""

    def _server_versions(self) -> dict[str, str]:
        """Return the name of the server's program and its version, as far as they are known."""
        return {}

    def freeze(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        checksums: Checksums | None = "files",
        identifiers: bool = True,
        overwrite: bool = False,
    ) -> Cohort:
        """Record what is selected, so that it can be opened again, here or on another archive.

        Parameters
        ----------
        path : str or Path, optional
            The file to save it to: see `Cohort.save`.
        checksums : {"files", "datasets"} or None
            What is compared when instances are read later. "files": length and MD5 of each file. Orthanc 1.12.5 and
            newer lists them with the instances, an older one is sent one small request for each file, and in folders
            and on DICOMweb servers each file is read. "datasets": also the SHA-256 of the dataset alone, for archives
            that hold the same objects in different files; each file is read. None: identifiers alone, and nothing is
            compared.
        identifiers : bool
            Whether to keep PatientIDs, criteria that may identify a patient, and the address of the archive. False is
            for a cohort that is published: it leaves out criteria on labels, metadata, private tags, and whatever
            `deidentify` removes or replaces, such as dates and descriptions. UIDs of studies, series and instances
            stay, and so do other criteria. `Cohort.save` has the same argument, for a cohort that is kept with
            identifiers and published without.
        overwrite : bool
            Whether to replace an existing file.

        Returns
        -------
        Cohort
            The identifiers, checksums and criteria of what is selected.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        SelectionError
            The file exists, and nothing was read; or an instance is no longer in the archive.
        CohortError
            The file cannot be written.

        See Also
        --------
        Cohort.load : Reads the file.

        Examples
        --------
        >>> cohort = archive.select(Modality="CT").freeze("ct.cohort")
        >>> cohort.series_count, cohort.instance_count
        (4, 120)
        >>> cohort.table("instance").md5.nunique()
        120
        """
        from simple_orthanc.session.cohorts.cohort import Cohort
        from simple_orthanc.session.cohorts.cohort_file import check_target
        from simple_orthanc.session.cohorts.freezing import freeze

        if path is not None:
            check_target(path, overwrite)
        cohort = Cohort(freeze(self, checksums, identifiers))
        if path is not None:
            cohort.save(path, overwrite=overwrite)
        return cohort
