#!/bin/sh
# Watch heartbeats with nothing but curl: GraphQL over server-sent events, one frame per `data:` line.
#
#   KICI_GQL_TOKEN=kgq_… examples/watch_sse.sh            # from now on, beginning with a snapshot
#   KICI_GQL_TOKEN=kgq_… examples/watch_sse.sh CURSOR     # on from a frame seen earlier, here or over a WebSocket
#
# KICI_GQL_URL is the server (http://127.0.0.1:8080), KICI_GQL_ORG the org (default).
set -eu
: "${KICI_GQL_TOKEN:?set it to a token that may read (scope viewer)}"
after=${1:+\"$1\"}

# The header comes from standard input, because `ps` shows arguments to everybody.
exec curl --no-buffer --silent --show-error --fail-with-body --header @- \
  --header 'Content-Type: application/json' --header 'Accept: text/event-stream' \
  --data "{
    \"query\": \"subscription(\$org: String!, \$after: Cursor) { heartbeats(org: \$org, after: \$after) { kind cursor at snapshot { agents { ...agent } } events { __typename ...agent ... on OrchestratorHeartbeat { displayId liveness memoryUsedMb uptimeSeconds } } } } fragment agent on AgentHeartbeat { agentId liveness memoryUsedMb uptimeSeconds lastHeartbeatAt }\",
    \"variables\": {\"org\": \"${KICI_GQL_ORG:-default}\", \"after\": ${after:-null}}
  }" "${KICI_GQL_URL:-http://127.0.0.1:8080}/graphql" <<END
Authorization: Bearer $KICI_GQL_TOKEN
END
