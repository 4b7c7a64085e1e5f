"""The routes of Orthanc's REST API, as one table of facts.

The versions are those of Orthanc's release notes, or the oldest that was seen to have the route. Routes of plugins are
not among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.rest.levels import ROUTE

OLDEST = (1, 10, 1)
"""The oldest version that is supported; a route that it has names no version."""

PLURALS = tuple(ROUTE.values())
"""What the routes call the levels, in the order of `LEVELS`."""

# In each line: the levels (Patient, sTudy, Series, Instance) whose routes begin with /{level}, or "-"; the method; the
# path behind that; the version of Orthanc that brought it, and marks, where there are any; and a summary.
#   file     the answer is binary, and may be of any length
#   reads    a POST that changes nothing, so that it may be sent again
#   revised  takes the revision that it overwrites
_TABLE = """
PTSI GET    / : List all ids of level {level}; params: expand, since, limit.
I    POST   / : Store a DICOM file, or a zip of them; body: bytes or an open file.
PTSI GET    /{id} : Read one {level} as the database holds it; params: short, full, requestedTags.
PTSI DELETE /{id} : Delete one {level} with all that it holds.
PTS  POST   /{id}/anonymize : Make an anonymized copy of one {level}; body: Keep, Replace, Remove, Asynchronous.
I    POST   /{id}/anonymize file : Return an anonymized copy of one instance, not stored; body: Keep, Replace, Remove.
PTS  POST   /{id}/modify : Make a modified copy of one {level}; body: Replace, Remove, Keep, Force, Asynchronous.
I    POST   /{id}/modify file : Return a modified copy of one instance, not stored; body: Replace, Remove, Keep.
PTS  GET    /{id}/archive file : Read a zip of the files of one {level}; params: filename.
PTS  POST   /{id}/archive file : Make a zip of the files of one {level}; body: Asynchronous.
PTS  GET    /{id}/media file : Read a zip of the files of one {level} with a DICOMDIR; params: extended.
PTS  POST   /{id}/media file : Make a zip of the files of one {level} with a DICOMDIR; body: Asynchronous, Extended.
PTSI GET    /{id}/attachments : List the names of the attachments of one {level}; params: full for their numbers.
PTSI GET    /{id}/attachments/{name} : List the routes of one attachment.
PTSI PUT    /{id}/attachments/{name} revised : Write one attachment, by a configured name or a number from 1024 on.
PTSI DELETE /{id}/attachments/{name} revised : Delete one attachment that is not Orthanc's own.
PTSI POST   /{id}/attachments/{name}/compress : Compress one attachment on the disk of the server.
PTSI POST   /{id}/attachments/{name}/uncompress : Uncompress one attachment on the disk of the server.
PTSI POST   /{id}/attachments/{name}/verify-md5 : Check whether one attachment on the disk has the MD5 of the database.
PTSI GET    /{id}/attachments/{name}/compressed-data file : Read one attachment as it is on the disk of the server.
PTSI GET    /{id}/attachments/{name}/compressed-md5 : Read the MD5 of one attachment as it is on the disk.
PTSI GET    /{id}/attachments/{name}/compressed-size : Read the size of one attachment on the disk, in bytes.
PTSI GET    /{id}/attachments/{name}/data file : Read one attachment; headers: Range, from Orthanc 1.12.5 on.
PTSI GET    /{id}/attachments/{name}/info : Read the sizes and checksums of one attachment.
PTSI GET    /{id}/attachments/{name}/is-compressed : Check whether one attachment is compressed on the disk.
PTSI GET    /{id}/attachments/{name}/md5 : Read the MD5 of one attachment.
PTSI GET    /{id}/attachments/{name}/size : Read the size of one attachment, in bytes.
I    GET    /{id}/content : List the tags of the DICOM file of one instance.
I    GET    /{id}/content/{path} file : Read the value of one element, such as "0010-0010" or "0008-1140/0/0008-1155".
I    POST   /{id}/export : Write the file of one instance to a path on the server; body: that path.
I    GET    /{id}/file file : Read the DICOM file of one instance.
I    GET    /{id}/frames : List the numbers of the frames of one instance.
I    GET    /{id}/frames/{frame} : List the routes of one frame.
I    GET    /{id}/frames/{frame}/image-int16 file : Read one frame as a PNG, its values clipped to int16.
I    GET    /{id}/frames/{frame}/image-uint16 file : Read one frame as a PNG, its values clipped to uint16.
I    GET    /{id}/frames/{frame}/image-uint8 file : Read one frame as a PNG, its values clipped to uint8.
I    GET    /{id}/frames/{frame}/matlab file : Read one frame as text for Matlab and Octave.
I    GET    /{id}/frames/{frame}/numpy file : Read one frame as a file of numpy; params: compress, rescale.
I    GET    /{id}/frames/{frame}/preview file : Read one frame as a PNG with its whole range of values.
I    GET    /{id}/frames/{frame}/raw file : Read one frame as it is encoded in the file.
I    GET    /{id}/frames/{frame}/raw.gz file : Read one frame as it is encoded in the file, compressed by gzip.
I    GET    /{id}/frames/{frame}/rendered file : Read one frame as an image in its window; params: width, height.
I    GET    /{id}/header : Read the file meta information of one instance; params: short, simplify.
I    GET    /{id}/image-int16 file : Read the first frame as a PNG, its values clipped to int16.
I    GET    /{id}/image-uint16 file : Read the first frame as a PNG, its values clipped to uint16.
I    GET    /{id}/image-uint8 file : Read the first frame as a PNG, its values clipped to uint8.
I    GET    /{id}/matlab file : Read the first frame as text for Matlab and Octave.
SI   GET    /{id}/numpy file : Read the pixels of one {level} as a file of numpy; params: compress, rescale.
I    GET    /{id}/pdf file : Read the PDF inside one instance.
I    GET    /{id}/preview file : Read the first frame as a PNG with its whole range of values.
I    GET    /{id}/rendered file : Read the first frame as an image in its window; params: width, height.
I    GET    /{id}/tags : Read the tags of one instance; params: short, simplify, ignore-length.
I    GET    /{id}/simplified-tags : Read the tags of one instance by keyword.
PT   GET    /{id}/series : Read the series of one {level}; params: expand, requestedTags.
I    GET    /{id}/series : Read the series of one instance.
P    GET    /{id}/studies : Read the studies of one patient; params: expand, requestedTags.
SI   GET    /{id}/study : Read the study of one {level}.
TSI  GET    /{id}/patient : Read the patient of one {level}.
PTS  GET    /{id}/instances : Read the instances of one {level}; params: expand, requestedTags.
PTS  GET    /{id}/instances-tags : Read the tags of all instances of one {level}; params: short, simplify.
PTS  GET    /{id}/shared-tags : Read the tags that are equal in all instances of one {level}; params: short, simplify.
PTSI GET    /{id}/labels 1.12.0 : List the labels of one {level}.
PTSI GET    /{id}/labels/{label} 1.12.0 : Check whether one {level} has a label; an error if it has not.
PTSI PUT    /{id}/labels/{label} 1.12.0 : Add a label to one {level}: at most 64 of A-Z, a-z, 0-9, "-" and "_".
PTSI DELETE /{id}/labels/{label} 1.12.0 : Remove a label from one {level}.
PTSI GET    /{id}/metadata : List the metadata of one {level}; params: expand for their values.
PTSI GET    /{id}/metadata/{name} : Read one metadata of one {level}.
PTSI PUT    /{id}/metadata/{name} revised : Write one metadata, by a configured name or a number from 1024 on.
PTSI DELETE /{id}/metadata/{name} revised : Delete one metadata that is not Orthanc's own.
PTSI GET    /{id}/module : Read the tags of the module of one {level}; params: short, simplify, ignore-length.
T    GET    /{id}/module-patient : Read the tags of the Patient module of one study; params: short, simplify.
T    POST   /{id}/merge : Move series or instances into one study; body: Resources, KeepSource, Asynchronous.
T    POST   /{id}/split : Move series or instances of one study into a new one; body: Series, Instances, KeepSource.
S    GET    /{id}/ordered-slices : Read the instances of one series in the order of their positions.
P    GET    /{id}/protected : Check whether one patient is protected against recycling.
P    PUT    /{id}/protected : Protect one patient against recycling, or not; body: "1" or "0".
PTSI POST   /{id}/reconstruct : Rebuild the main tags of one {level} from its files.
PTSI GET    /{id}/statistics : Read the counts and sizes of one {level}; zeros for an unknown id from 1.13.0 on.
-    GET    /changes : Read the changes; params: since, limit, last; type and to from Orthanc 1.12.5 on.
-    DELETE /changes : Clear the list of changes.
-    GET    /exports : Read the exports to other machines, if they are logged; params: since, limit.
-    DELETE /exports : Clear the list of exports.
-    GET    /jobs : List the jobs; params: expand.
-    GET    /jobs/{id} : Read the state of one job.
-    DELETE /jobs/{id} 1.12.2 : Remove one finished job from the history.
-    GET    /jobs/{id}/{key} file : Read an output of one job, such as "archive".
-    DELETE /jobs/{id}/{key} 1.12.1 : Delete an output of one job, such as "archive".
-    POST   /jobs/{id}/cancel : Cancel one job.
-    POST   /jobs/{id}/pause : Pause one job.
-    POST   /jobs/{id}/resubmit : Resubmit one failed job.
-    POST   /jobs/{id}/resume : Resume one paused job.
-    GET    /modalities : List the names of the DICOM modalities; params: expand.
-    GET    /modalities/{id} : List the routes of one modality.
-    PUT    /modalities/{id} : Configure one modality; body: AET, Host, Port, Manufacturer, Timeout.
-    DELETE /modalities/{id} : Remove one modality from the configuration.
-    GET    /modalities/{id}/configuration : Read the configuration of one modality.
-    POST   /modalities/{id}/echo reads : Send a C-ECHO to one modality; body: Timeout, CheckFind.
-    POST   /modalities/{id}/find reads : Search one modality level by level, from patient to instance; body: tags.
-    POST   /modalities/{id}/find-patient reads : Search one modality for patients by C-FIND; body: tags.
-    POST   /modalities/{id}/find-study reads : Search one modality for studies by C-FIND; body: tags.
-    POST   /modalities/{id}/find-series reads : Search one modality for series by C-FIND; body: tags.
-    POST   /modalities/{id}/find-instance reads : Search one modality for instances by C-FIND; body: tags.
-    POST   /modalities/{id}/find-worklist reads : Search the worklists of one modality; body: tags.
-    POST   /modalities/{id}/get 1.12.6 : Retrieve from one modality by C-GET; body: Level, Resources, Asynchronous.
-    POST   /modalities/{id}/move : Retrieve from one modality by C-MOVE; body: Level, Resources, TargetAet.
-    POST   /modalities/{id}/query : Search one modality by C-FIND and keep the answers; body: Level, Query, Normalize.
-    POST   /modalities/{id}/storage-commitment : Ask one modality to commit to what it stores; body: Resources.
-    POST   /modalities/{id}/store : Send to one modality by C-STORE; body: ids, or Resources, Asynchronous, Timeout.
-    POST   /modalities/{id}/store-straight : Send a DICOM file to one modality without storing it; body: bytes.
-    GET    /peers : List the names of the Orthanc peers; params: expand.
-    GET    /peers/{id} : List the routes of one peer.
-    PUT    /peers/{id} : Configure one peer; body: Url, Username, Password, HttpHeaders, Timeout.
-    DELETE /peers/{id} : Remove one peer from the configuration.
-    GET    /peers/{id}/configuration : Read the configuration of one peer.
-    POST   /peers/{id}/store : Send to one peer; body: ids, or Resources, Compress, Asynchronous.
-    POST   /peers/{id}/store-straight : Send a DICOM file to one peer without storing it; body: bytes.
-    GET    /peers/{id}/system : Read the system information of one peer.
-    GET    /plugins : List the names of the plugins.
-    GET    /plugins/explorer.js : Read the JavaScript of the plugins for Orthanc Explorer.
-    GET    /plugins/{id} : Read the description of one plugin.
-    GET    /queries : List the ids of the queries whose answers are kept.
-    GET    /queries/{id} : List the routes of one query.
-    DELETE /queries/{id} : Remove one query and its answers.
-    GET    /queries/{id}/answers : List the indices of the answers to one query; params: expand, simplify.
-    GET    /queries/{id}/answers/{index} : List the routes of one answer.
-    GET    /queries/{id}/answers/{index}/content : Read one answer; params: simplify, short.
-    POST   /queries/{id}/answers/{index}/query-studies : Search for the studies below one answer; body: Query.
-    POST   /queries/{id}/answers/{index}/query-series : Search for the series below one answer; body: Query.
-    POST   /queries/{id}/answers/{index}/query-instances : Search for the instances below one answer; body: Query.
-    POST   /queries/{id}/answers/{index}/retrieve : Retrieve the object of one answer; body: TargetAet, Asynchronous.
-    GET    /queries/{id}/level : Read the level of one query.
-    GET    /queries/{id}/modality : Read the modality that one query was sent to.
-    GET    /queries/{id}/query : Read the tags of one query; params: simplify, short.
-    POST   /queries/{id}/retrieve : Retrieve the objects of all answers to one query; body: TargetAet, Asynchronous.
-    GET    /statistics : Read the counts and sizes of the whole archive.
-    GET    /storage-commitment/{id} : Read the report on one storage commitment.
-    POST   /storage-commitment/{id}/remove : Delete the instances that one storage commitment reports as stored.
-    GET    /system : Read version, options and capabilities of the server.
-    GET    /tools : List the tools.
-    GET    /tools/accepted-sop-classes 1.12.7 : List the SOP classes that are accepted by C-STORE.
-    GET    /tools/accepted-transfer-syntaxes : List the transfer syntaxes that are accepted by C-STORE.
-    PUT    /tools/accepted-transfer-syntaxes : Change the transfer syntaxes that are accepted by C-STORE.
-    POST   /tools/bulk-anonymize : Make anonymized copies; body: Resources, Keep, Replace, Remove, Asynchronous.
-    POST   /tools/bulk-content reads : Read many objects as the database holds them; body: Resources, Level, Metadata.
-    POST   /tools/bulk-delete : Delete many objects; body: Resources. Unknown ids are ignored.
-    POST   /tools/bulk-modify : Make modified copies; body: Resources, Level, Replace, Remove, Keep, Asynchronous.
-    POST   /tools/count-resources 1.12.5 reads : Count the results of a search; body: Level, Query, Labels.
-    GET    /tools/create-archive 1.12.2 file : Read a zip of files; params: resources, as ids with commas.
-    POST   /tools/create-archive file : Make a zip of files; body: ids, or Resources, Asynchronous.
-    GET    /tools/create-media 1.12.2 file : Read a zip of files with a DICOMDIR; params: resources.
-    POST   /tools/create-media file : Make a zip of files with a DICOMDIR; body: ids, or Resources, Asynchronous.
-    GET    /tools/create-media-extended 1.12.2 file : Read a zip with a DICOMDIR with optional tags; params: resources.
-    POST   /tools/create-media-extended file : Make a zip with a DICOMDIR with optional tags; body: ids, or Resources.
-    POST   /tools/create-dicom : Make and store an instance; body: Tags, Content, Parent, Force.
-    GET    /tools/default-encoding : Read the character set that is assumed where a file names none.
-    PUT    /tools/default-encoding : Change the character set that is assumed where a file names none; body: its name.
-    GET    /tools/dicom-conformance : Read the DICOM conformance statement.
-    POST   /tools/dicom-echo reads : Send a C-ECHO to a machine that is not configured; body: AET, Host, Port.
-    POST   /tools/execute-script : Run a script of Lua on the server, if that is enabled; body: the script.
-    POST   /tools/find reads : Search the archive; body: Level, Query, Expand, Limit, Since, ResponseContent.
-    GET    /tools/generate-uid : Make a new DICOM identifier; params: level, one of patient, study, series, instance.
-    POST   /tools/invalidate-tags : Invalidate the JSON that is kept of the tags of all instances.
-    GET    /tools/labels 1.12.0 : List all labels in use.
-    GET    /tools/log-level : Read the log level.
-    PUT    /tools/log-level : Change the log level; body: "default", "verbose" or "trace".
-    GET    /tools/log-level-dicom : Read the log level of DICOM.
-    PUT    /tools/log-level-dicom : Change the log level of DICOM; body: as for log-level.
-    GET    /tools/log-level-generic : Read the log level of all else.
-    PUT    /tools/log-level-generic : Change the log level of all else; body: as for log-level.
-    GET    /tools/log-level-http : Read the log level of HTTP.
-    PUT    /tools/log-level-http : Change the log level of HTTP; body: as for log-level.
-    GET    /tools/log-level-jobs : Read the log level of jobs.
-    PUT    /tools/log-level-jobs : Change the log level of jobs; body: as for log-level.
-    GET    /tools/log-level-lua : Read the log level of Lua.
-    PUT    /tools/log-level-lua : Change the log level of Lua; body: as for log-level.
-    GET    /tools/log-level-plugins : Read the log level of plugins.
-    PUT    /tools/log-level-plugins : Change the log level of plugins; body: as for log-level.
-    GET    /tools/log-level-sqlite : Read the log level of SQLite.
-    PUT    /tools/log-level-sqlite : Change the log level of SQLite; body: as for log-level.
-    POST   /tools/lookup reads : Find the ids of a DICOM identifier; body: the identifier.
-    GET    /tools/metrics : Check whether metrics are collected.
-    PUT    /tools/metrics : Collect metrics, or not; body: "1" or "0".
-    GET    /tools/metrics-prometheus : Read the metrics, in the format of Prometheus.
-    GET    /tools/now : Read the time of the server, in UTC.
-    GET    /tools/now-local : Read the time of the server, in its time zone.
-    POST   /tools/reconstruct : Rebuild the main tags of all objects from their files.
-    POST   /tools/reset : Restart the server.
-    POST   /tools/shutdown : Shut down the server.
-    GET    /tools/unknown-sop-class-accepted : Check whether C-STORE accepts unknown SOP classes.
-    PUT    /tools/unknown-sop-class-accepted : Accept unknown SOP classes by C-STORE, or not; body: "1" or "0".
"""


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes
    ----------
    method : str
        "GET", "POST", "PUT" or "DELETE".
    path : str
        With its parameters in braces.
    since : tuple of int
        The version of Orthanc that brought it; `OLDEST` for those that all supported versions have.
    marks : frozenset of str
        "file", "reads" and "revised", as the table explains them.
    summary : str
        One sentence.

    Examples
    --------
    >>> route = routes()["get_series_id_ordered_slices"]
    >>> route.method, route.path, route.parameters
    ('GET', '/series/{id}/ordered-slices', ('id',))
    """

    method: str
    path: str
    since: tuple[int, ...]
    marks: frozenset[str]
    summary: str

    @property
    def name(self) -> str:
        """The method and the path, as a name in Python."""
        return f"{self.method.lower()}{re.sub('[/.-]', '_', self.path.translate(_WITHOUT_BRACES))}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters in the path, in their order."""
        return tuple(segment[1:-1] for segment in self.path.split("/") if segment.startswith("{"))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters of a path, decoded, or None if the path is that of another route.

        Examples
        --------
        >>> routes()["get_instances_id_content_path"].match("/instances/4c/content/0010-0010")
        {'id': '4c', 'path': '0010-0010'}
        """
        own, given = self.path.split("/"), path.rstrip("/").split("/")
        if own[-1] == "{path}" and len(given) > len(own):
            given[len(own) - 1 :] = ["/".join(given[len(own) - 1 :])]
        if len(own) != len(given):
            return None
        values = {}
        for expected, segment in zip(own, given, strict=True):
            if expected.startswith("{") and segment:
                values[expected[1:-1]] = unquote(segment)
            elif expected != segment:
                return None
        return values


_WITHOUT_BRACES = str.maketrans("", "", "{}")


@cache
def routes() -> Mapping[str, Route]:
    """Return all routes by their names."""
    return {route.name: route for route in _parsed()}


def _parsed() -> Iterator[Route]:
    for line in _TABLE.strip().splitlines():
        facts, _, summary = line.partition(" : ")
        levels, method, path, *others = facts.split()
        numbers = [other for other in others if other[0].isdigit()]
        since = tuple(map(int, numbers[0].split("."))) if numbers else OLDEST
        marks = frozenset(other for other in others if other not in numbers)
        if levels == "-":
            yield Route(method, path, since, marks, summary)
            continue
        for letter, level, plural in zip("PTSI", LEVELS, PLURALS, strict=True):
            if letter in levels:
                yield Route(method, f"/{plural}{path}".rstrip("/"), since, marks, summary.format(level=level))


def matching_routes(path: str) -> list[tuple[Route, dict[str, str]]]:
    """List the routes that a path belongs to, whatever their method, with the parameters in it."""
    matches = ((route, route.match(path)) for route in routes().values())
    return [(route, values) for route, values in matches if values is not None]


def version_text(version: tuple[int, ...]) -> str:
    """Return a version as it is written.

    Examples
    --------
    >>> version_text((1, 12, 0))
    '1.12.0'
    """
    return ".".join(map(str, version))
