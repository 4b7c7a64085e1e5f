"""A session of a script that Orthanc's Python plugin runs, on the Orthanc that runs it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import TransportError, UnsupportedError
from simple_orthanc.transport.secret import hide, hide_arguments

if TYPE_CHECKING:
    from typing_extensions import Self

# Addresses at which a server hears what is sent to 127.0.0.1.
_HEARD = ("127.0.0.1", "0.0.0.0", "localhost")


class OpensInPlugin:
    """The part of a session class that opens the Orthanc inside which it runs."""

    @classmethod
    def from_plugin(cls, **options: Any) -> Self:
        """Open a session on the Orthanc that runs this script, with the rights of its plugins.

        Scripts are run before Orthanc listens, so it is called in a callback: in that of a route, or from the change
        ``ORTHANC_STARTED`` on. Callbacks may wait for the server's answers.

        Parameters
        ----------
        **options
            Other arguments of the session, such as `timeout`.

        Returns
        -------
        Orthanc
            As the constructor returns it. It goes to this machine, whatever addresses the server has elsewhere.

        Raises
        ------
        UnsupportedError
            This is not a script in an Orthanc, or its HTTP server is turned off or requires a certificate of its
            clients and none is given.
        TransportError
            The server does not listen yet.

        Examples
        --------
        >>> from simple_orthanc import Orthanc, orthanc_sdk as orthanc
        >>> def answer(output, uri, **request):
        ...     session = Orthanc.from_plugin().select(Modality="CT")
        ...     output.AnswerBuffer(str(session.series_count), "text/plain")

        In a script of the plugin ``orthanc.RegisterRestCallback("/ct-series", answer)`` makes a route of it.
        """
        # Its stubs are not read by programs outside of Orthanc.
        from simple_orthanc import orthanc_sdk

        options = hide_arguments(options)
        try:
            token = hide(orthanc_sdk.GenerateRestApiAuthorizationToken().removeprefix("Bearer "))
            configuration = json.loads(orthanc_sdk.GetConfiguration())
        except UnsupportedError:
            raise UnsupportedError(
                "from_plugin() works in a script that an Orthanc runs through its Python plugin (the option "
                "PythonScript of its configuration), and this is not one. Elsewhere give the server's address: "
                'Orthanc("http://127.0.0.1:8042").'
            ) from None
        url = own_address(configuration, has_certificate="cert" in options)
        constructor: Any = cls
        with warnings.catch_warnings():
            if "verify" not in options and url.startswith("https://127.0.0.1"):
                # Its certificate is made for another name, and nobody is between this program and itself.
                options["verify"] = False
                warnings.filterwarnings("ignore", message="The certificate of")
            try:
                session: Self = constructor(url, token=token, **options)
            except TransportError as error:
                error.args = (
                    f"{error.message} Orthanc listens only after its scripts were run: call from_plugin() in a "
                    "callback, such as that of RegisterOnChangeCallback from ChangeType.ORTHANC_STARTED on.",
                )
                raise
        return session


def own_address(configuration: Mapping[str, Any], has_certificate: bool = False) -> str:
    """Return the URL at which an Orthanc with a configuration is reached from its own machine.

    Parameters
    ----------
    configuration : mapping
        As Orthanc reports it to its plugins.
    has_certificate : bool
        Whether a certificate of the client is given.

    Raises
    ------
    UnsupportedError
        There is no such URL, or the server requires a certificate that is not given.

    Examples
    --------
    >>> own_address({}), own_address({"HttpPort": 80, "SslEnabled": True, "HttpBindAddresses": ["10.0.0.5"]})
    ('http://127.0.0.1:8042', 'https://10.0.0.5:80')
    """
    if not configuration.get("HttpServerEnabled", True):
        raise UnsupportedError(
            "from_plugin() reaches this Orthanc over HTTP, and its option HttpServerEnabled is false: set it to true; "
            "RemoteAccessAllowed as false keeps other machines out."
        )
    is_secure = bool(configuration.get("SslEnabled", False))
    if is_secure and configuration.get("SslVerifyPeers", False) and not has_certificate:
        raise UnsupportedError(
            "This Orthanc requires a certificate of its clients (its option SslVerifyPeers): give one that it trusts, "
            'as in from_plugin(cert=("client.pem", "client.key")).'
        )
    addresses = [str(address) for address in configuration.get("HttpBindAddresses") or ()]
    host = "127.0.0.1" if not addresses or any(address in _HEARD for address in addresses) else addresses[0]
    if ":" in host:
        host = f"[{'::1' if host == '::' else host}]"
    return f"{'https' if is_secure else 'http'}://{host}:{configuration.get('HttpPort', 8042)}"
