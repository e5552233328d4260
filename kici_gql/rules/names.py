"""Names of clusters and orgs, and how orchestrators are shown."""

import re
import secrets
from datetime import timedelta

from kici_gql.errors import InvalidInput
from kici_gql.rules.secrets import redacted

FORMER_NAME_KEPT = timedelta(days=30)
"""For so long a name leads to the cluster that had it, and no other cluster can be renamed to it."""

CLUSTER_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_name(name: str, path: str, what: str = "cluster name") -> str:
    """The name itself. Raises InvalidInput when it is not a DNS label (RFC 1123, lower case)."""
    if not CLUSTER_NAME.fullmatch(name):
        raise InvalidInput(
            f"{redacted(name)[:80]!r} is not a valid {what}",
            hint="Use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends.",
            path=[path],
        )
    return name


def generate_cluster_name() -> str:
    """A name for a cluster that nobody named: `cluster-` and six hexadecimal digits."""
    return f"cluster-{secrets.token_hex(3)}"


def display_id(instance_id: str, instance_named: bool, connection_id: str) -> str:
    """What people see: the instance id when somebody chose one, else the start of the connection id."""
    return instance_id if instance_named else short_connection_id(connection_id)


def short_connection_id(connection_id: str) -> str:
    return connection_id[:8]
