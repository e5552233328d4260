"""The server as it is reached from here, and plain requests to it."""

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import Any

import aiohttp

from kici_gql.cli.examination.finding import Wrong

MAX_BODY_BYTES = 1_048_576


@dataclass(slots=True)
class Patient:
    """The server as it is reached from here."""

    url: str
    token: str
    seconds: float
    http: aiohttp.ClientSession

    @property
    def graphql(self) -> str:
        return f"{self.url}/graphql"

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def fetch(patient: Patient, method: str, url: str, **more: Any) -> tuple[aiohttp.ClientResponse, bytes]:
    """Raises Wrong, in words, when there is no answer or a redirection."""
    try:
        async with (
            asyncio.timeout(patient.seconds),
            patient.http.request(method, url, allow_redirects=False, **more) as response,
        ):
            body = await response.content.read(MAX_BODY_BYTES)
    except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
        raise unreachable(patient.url, error, patient.seconds) from None
    if 300 <= response.status < 400:
        raise Wrong(
            f"{url} redirects to {response.headers.get('Location', 'nowhere')}",
            "Give the address that it redirects to: a POST and a WebSocket do not follow.",
        )
    return response, body


def unreachable(url: str, error: Exception, seconds: float | None = None) -> Wrong:
    match error:
        case TimeoutError():
            return Wrong(
                f"{url} did not answer in {seconds:g} s",
                "A firewall may drop the packets, or the server hangs: try from its own machine.",
            )
        case aiohttp.ClientConnectorDNSError():
            return Wrong(f"the name in {url} is unknown here", "Check the spelling, and the DNS.")
        case aiohttp.ClientConnectorCertificateError():
            return Wrong(
                f"the certificate of {url} is not trusted: {_tls(error.certificate_error)}",
                "Serve the whole chain; for an authority of your own set SSL_CERT_FILE to its certificate.",
            )
        case aiohttp.ClientConnectorSSLError():
            return Wrong(
                f"{url} does not speak TLS: {error.os_error}", "Use http://, or the port that has TLS."
            )
        case aiohttp.ClientConnectorError():
            return Wrong(
                f"nothing listens at {url}: {error.os_error.strerror or error.os_error}",
                "Start `kici-gql serve`, and compare its --host and --port with the address; "
                "it listens on loopback only unless told otherwise.",
            )
        case _:
            return Wrong(
                f"{url} does not answer in HTTP: {str(error) or type(error).__name__}",
                "Check the port, and whether it wants https://.",
            )


def _tls(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)


def first_message(body: bytes) -> str:
    """The message of the first GraphQL error, or the beginning of whatever came."""
    try:
        return str(json.loads(body)["errors"][0]["message"])
    except (ValueError, KeyError, TypeError, IndexError):
        return shown(body)


def shown(body: bytes) -> str:
    return body[:80].decode(errors="replace")
