"""The verbs of a session that look after an Orthanc server: what it holds, how it is set up, what it reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.dicom.tags import TagLike
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection import tables
from simple_orthanc.session.orthanc_state import OrthancState

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.rest import Rest

LogLevel = Literal["default", "verbose", "trace"]

_LOG_LEVELS = ("default", "verbose", "trace")
_LOG_CATEGORIES = ("dicom", "generic", "http", "jobs", "lua", "plugins", "sqlite")
_SIZE = (int, str)

_EXPLORER = "/app/explorer.html#{0}?uuid={{key}}"
_EXPLORER_2 = "/ui/app/#/filtered-studies?"
_STONE = "/stone-webviewer/index.html?"
# What one source of data of OHIF reads, the other ignores; which is used, is set in the plugin's configuration.
_OHIF = "/ohif/viewer?StudyInstanceUIDs={StudyInstanceUID}&url=../studies/{key}/ohif-dicom-json"
# Each viewer: its plugin, or None if it is always there, and the address of an object by its level.
_VIEWERS: dict[str, tuple[str | None, dict[Level, str]]] = {
    "explorer": (
        None,
        {
            "patient": _EXPLORER.format("patient"),
            "study": _EXPLORER.format("study"),
            "series": _EXPLORER.format("series"),
        },
    ),
    "explorer2": (
        "orthanc-explorer-2",
        {
            "patient": _EXPLORER_2 + "PatientID={PatientID}",
            "study": _EXPLORER_2 + "StudyInstanceUID={StudyInstanceUID}&expand=study",
            "series": _EXPLORER_2 + "StudyInstanceUID={StudyInstanceUID}&expand=series",
        },
    ),
    "stone": (
        "stone-webviewer",
        {
            "patient": _STONE + "patient={PatientID}",
            "study": _STONE + "study={StudyInstanceUID}",
            "series": _STONE + "study={StudyInstanceUID}&series={SeriesInstanceUID}",
        },
    ),
    "ohif": ("ohif", {"study": _OHIF}),
}


class LogLevels(MutableMapping[str, str]):
    """How much the server logs, by category: "default", "verbose" or "trace".

    Parameters
    ----------
    rest : Rest
        The server's REST API.

    Examples
    --------
    >>> orthanc.log_levels["jobs"] = "verbose"
    >>> dict(orthanc.log_levels)["jobs"]
    'verbose'
    >>> orthanc.log_level = "default"
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def __getitem__(self, category: str) -> str:
        """Ask for the level of a category."""
        return str(self._rest.get(_log_route(category)))

    def __setitem__(self, category: str, level: str) -> None:
        """Set the level of a category."""
        self._rest.put(_log_route(category), checked_log_level(level))

    def __delitem__(self, category: str) -> None:
        """Set a category back to "default"."""
        self[category] = "default"

    def __iter__(self) -> Iterator[str]:
        """Iterate over the categories."""
        return iter(_LOG_CATEGORIES)

    def __len__(self) -> int:
        """Return the number of categories."""
        return len(_LOG_CATEGORIES)

    def __repr__(self) -> str:
        """Show the categories, without a request."""
        return f"<log levels of {', '.join(_LOG_CATEGORIES)}>"


class Administration(OrthancState):
    """The verbs that look after a server."""

    @property
    def system(self) -> dict[str, Any]:
        """The answer to ``/system``: Version, ApiVersion, DicomAet, and what the server can do.

        Examples
        --------
        >>> orthanc.system["DicomAet"]
        'HERE'
        """
        from simple_orthanc.sources.orthanc.answers import ask, has

        system: dict[str, Any] = ask(self._orthanc.transport, "GET", "/system", has(Version=str))
        return system

    def statistics(self) -> pd.DataFrame:
        """Return how much the whole server holds, whatever is selected.

        Returns
        -------
        pandas.DataFrame
            One row: patients, studies, series, instances; disk_bytes, as stored; uncompressed_bytes.

        Examples
        --------
        >>> orthanc.statistics()[["patients", "studies", "series", "instances"]]
           patients  studies  series  instances
        0         3        3       8        163
        """
        import pandas as pd

        from simple_orthanc.sources.orthanc.answers import ask, has
        from simple_orthanc.sources.orthanc.changes import count_all

        counts = count_all(self._orthanc.transport)
        is_right = has(TotalDiskSize=_SIZE, TotalUncompressedSize=_SIZE)
        sizes = ask(self._orthanc.transport, "GET", "/statistics", is_right)
        row = {
            "patients": counts["patient"],
            "studies": counts["study"],
            "series": counts["series"],
            "instances": counts["instance"],
            "disk_bytes": int(sizes["TotalDiskSize"]),
            "uncompressed_bytes": int(sizes["TotalUncompressedSize"]),
        }
        return pd.DataFrame([row], dtype="Int64")

    def daily_counts(self, tag: TagLike = "StudyDate", level: Level = "study") -> pd.DataFrame:
        """Count what is selected day by day.

        Parameters
        ----------
        tag : str
            A tag that holds a date.
        level : {"patient", "study", "series", "instance"}
            What is counted.

        Returns
        -------
        pandas.DataFrame
            One row per day on which there is something, in order; what lacks the tag is in a last row. Columns: the
            tag (datetime64), count.

        Raises
        ------
        SelectionError
            The tag holds no date.

        Examples
        --------
        >>> orthanc.select(StudyDate="20230101-20230331").daily_counts()
           StudyDate  count
        0 2023-01-16      1
        1 2023-03-09      1
        """
        parsed = tables.parse_tag_column(tag)
        if parsed.vr != "DA":
            raise SelectionError(
                f"daily_counts({parsed.name!r}): its values are no dates. Give a tag such as StudyDate, SeriesDate or "
                f"AcquisitionDate."
            )
        counts = self.value_counts(parsed.name, level).sort_index(na_position="last")
        return counts.rename_axis(parsed.name).rename("count").astype("Int64").reset_index()

    def metrics(self) -> pd.DataFrame:
        """Return the server's metrics, as it reports them to Prometheus.

        Returns
        -------
        pandas.DataFrame
            One row per value: name; labels, a dict; value; timestamp in UTC, NA where there is none.

        Examples
        --------
        >>> metrics = orthanc.metrics().set_index("name").value
        >>> int(metrics["orthanc_count_instances"])
        163
        """
        import pandas as pd

        from simple_orthanc.session.prometheus import parse_metrics

        answer = self.rest.get("/tools/metrics-prometheus")
        samples = parse_metrics(answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer))
        frame = pd.DataFrame(samples, columns=["name", "labels", "value", "timestamp"])
        frame["timestamp"] = pd.to_datetime(frame["timestamp"].astype("Int64"), unit="ms", utc=True)
        return frame.astype({"name": "string", "value": "Float64"})

    @property
    def plugins(self) -> pd.DataFrame:
        """The plugins that the server has loaded: a table of their id, version, description and root.

        Examples
        --------
        >>> "dicom-web" in orthanc.plugins.id.tolist()
        True
        """
        import pandas as pd

        rows = []
        for name in self._plugin_ids():
            about = self.rest.get(f"/plugins/{quote(name, safe='')}")
            rows.append((name, about.get("Version"), about.get("Description"), about.get("RootUri")))
        return pd.DataFrame(rows, columns=["id", "version", "description", "root"], dtype="string")

    def _plugin_ids(self) -> list[str]:
        # The list holds a file of Orthanc Explorer too.
        return [name for name in self.rest.get("/plugins") if name != "explorer.js"]

    @property
    def log_level(self) -> str:
        """How much the server logs: "default", "verbose" or "trace"; it can be assigned, for all categories.

        Examples
        --------
        >>> orthanc.log_level = "verbose"
        >>> orthanc.log_level
        'verbose'
        >>> orthanc.log_level = "default"
        """
        return str(self.rest.get("/tools/log-level"))

    @log_level.setter
    def log_level(self, level: LogLevel) -> None:
        self.rest.put("/tools/log-level", checked_log_level(level))

    @property
    def log_levels(self) -> LogLevels:
        """How much the server logs by category, as a mapping that can be assigned to.

        Examples
        --------
        >>> orthanc.log_levels["jobs"] = "verbose"
        >>> orthanc.log_levels["jobs"], orthanc.log_levels["http"]
        ('verbose', 'default')
        >>> orthanc.log_level = "default"
        """
        return LogLevels(self.rest)

    @property
    def default_encoding(self) -> str:
        """The character set that the server assumes where a file names none, such as "Latin1"; it can be assigned.

        Assigning changes it for every user of the server, until it is started again.

        Examples
        --------
        >>> orthanc.default_encoding
        'Latin1'
        >>> orthanc.default_encoding = "Utf8"
        >>> orthanc.default_encoding
        'Utf8'
        >>> orthanc.default_encoding = "Latin1"
        """
        return str(self.rest.get("/tools/default-encoding"))

    @default_encoding.setter
    def default_encoding(self, encoding: str) -> None:
        self.rest.put("/tools/default-encoding", encoding)

    def viewer_links(self, level: Level = "study") -> pd.DataFrame:
        """Return the addresses at which a browser shows what is selected.

        Parameters
        ----------
        level : {"patient", "study", "series"}
            What is shown.

        Returns
        -------
        pandas.DataFrame
            One row per object, in the order of ``table(level=level)``: its identifiers; explorer (Orthanc Explorer);
            and, where their plugins are installed, explorer2 (Orthanc Explorer 2, which shows series in the list of
            their study), stone (Stone Web viewer) and ohif (OHIF, for studies only). NA where a viewer cannot show the
            level.

        Examples
        --------
        >>> links = orthanc.select(PatientID="EX-003").viewer_links()
        >>> links.explorer[0].partition("#")[0]
        'http://127.0.0.1:.../app/explorer.html'
        """
        import pandas as pd

        from simple_orthanc.session.acts.targets import selected_keys

        if level not in ("patient", "study", "series"):
            raise SelectionError(f"viewer_links(level={level!r}): the level is 'patient', 'study' or 'series'.")
        chain = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
        frame = self.table(*chain[: LEVELS.index(level) + 1], level=level)
        rows = frame.to_dict("records")
        keys, installed = selected_keys(self, level), set(self._plugin_ids())
        for viewer, (plugin, template) in _VIEWERS.items():
            if plugin is None or plugin in installed:
                column = [self._link(template.get(level), key, row) for key, row in zip(keys, rows, strict=True)]
                frame[viewer] = pd.Series(column, dtype="string")
        return frame

    def _link(self, template: str | None, key: str, row: Mapping[Any, Any]) -> str | None:
        """Fill in the identifiers of an object, escaped; None if there is no template."""
        if template is None:
            return None
        escaped = {name: quote(value, safe="") for name, value in row.items() if isinstance(value, str)}
        return self._orthanc.transport.url + template.format_map(defaultdict(str, escaped, key=key))


def checked_log_level(level: object) -> str:
    """Return a log level if there is such a one.

    Raises
    ------
    SelectionError
        The server knows no such level.
    """
    if level not in _LOG_LEVELS:
        raise SelectionError(f"{level!r} is no log level: give one of {', '.join(map(repr, _LOG_LEVELS))}.")
    return str(level)


def _log_route(category: object) -> str:
    if category not in _LOG_CATEGORIES:
        import difflib

        similar = difflib.get_close_matches(str(category), _LOG_CATEGORIES, n=1)
        hint = f"did you mean {similar[0]!r}?" if similar else f"they are {', '.join(_LOG_CATEGORIES)}."
        raise SelectionError(f"{category!r} is no category of what the server logs; {hint}")
    return f"/tools/log-level-{category}"
