"""The doctor's findings, by their check."""

from kici_gql.cli.examination.examine import examine
from kici_gql.cli.examination.finding import Finding, Status
from tests.docs.server import ADMIN


async def examined(url: str, token: str = ADMIN, seconds: float = 10.0) -> dict[str, Finding]:
    return {finding.check: finding async for finding in examine(url, token, seconds)}


def failed(findings: dict[str, Finding]) -> list[str]:
    return [check for check, finding in findings.items() if finding.status is Status.FAILED]
