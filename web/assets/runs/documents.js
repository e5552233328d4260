// What the pages ask about workflows and runs, and of them.

import { ERROR_FIELDS } from "../graphql/http.js";

const FRAME = "kind cursor previousCursor at reason";

const RUN = `fragment run on Run {
  id externalId workflowName status triggerType triggeredBy cancelledBy repository branch commitSha commitMessage
  queuedAt startedAt completedAt durationMs failureReason updatedAt workflow { id } cluster { id name }
}`;
const JOB = `fragment job on Job {
  id externalId runId name status agentId runsOn errorMessage startedAt completedAt durationMs stepsWithLogs
  steps { ...step }
}
fragment step on Step { id jobId runId number name status exitCode errorMessage startedAt completedAt durationMs }`;

export const WORKFLOWS = `
subscription Workflows($org: String!, $after: Cursor) {
  workflows(org: $org, after: $after) {
    ${FRAME}
    snapshot { workflows { ...workflow } registries { ...registry } }
    events {
      __typename
      ... on WorkflowChanged { workflow { ...workflow } }
      ... on WorkflowRemoved { id }
      ... on RegistryChanged { registry { ...registry } }
    }
  }
}
fragment workflow on Workflow {
  id name repository registrationId enabled stale version triggerTypes lastTriggeredAt nextFireAt sourceRepos sourceFile
  commitSha registeredAt updatedAt cluster { id name }
  inputs { name type required default options description }
  triggers { type config ... on ScheduleTrigger { cron timezone description nextFireAt } }
}
fragment registry on WorkflowRegistry { clusterId version announcedVersion syncStatus updatedAt error }`;

export const CLUSTER_NAMES = `query Clusters($org: String!) { org(slug: $org) { clusters(first: 100) { nodes { id name } } } }`;

export const LAST_RUNS = `
query LastRuns($id: ID!) {
  node(id: $id) { ... on Workflow { runs(first: 5, orderBy: { field: QUEUED_AT, direction: DESC }) { nodes { ...run } } } }
}
${RUN}`;

export const RUNS = `
subscription Runs($org: String!, $where: RunWhere, $after: Cursor) {
  runs(org: $org, where: $where, after: $after) {
    ${FRAME}
    snapshot { runs { ...run } }
    events { __typename ... on RunChanged { run { ...run } } ... on RunRemoved { id } }
  }
}
${RUN}`;

export const RUN_PAGE = `
query RunPage($org: String!, $where: RunWhere, $orderBy: RunOrderFieldOrder, $after: String) {
  org(slug: $org) {
    runs(where: $where, orderBy: $orderBy, first: 100, after: $after) { nodes { ...run } pageInfo { endCursor hasNextPage } }
  }
}
${RUN}`;

export const RUN_DETAIL = `
query RunDetail($org: String!, $id: ID!) {
  org(slug: $org) {
    cursor
    run(id: $id) {
      ...run
      logBytes inputs { key value } jobs { ...job }
      parent { externalId status } original { externalId status }
    }
  }
}
${RUN}
${JOB}`;

export const RUN_CHANGES = `
subscription RunChanges($org: String!, $where: RunWhere, $after: Cursor) {
  runs(org: $org, where: $where, after: $after) {
    ${FRAME}
    events {
      __typename
      ... on RunChanged { run { ...run } }
      ... on JobChanged { job { ...job } }
      ... on StepChanged { step { ...step } }
    }
  }
}
${RUN}
${JOB}`;

export const RUN_LOG = `
subscription RunLog($run: ID!, $job: ID!, $step: Int!, $afterLine: Int!) {
  runLog(run: $run, job: $job, step: $step, afterLine: $afterLine) {
    ${FRAME}
    snapshot { totalLines lines { number text } gaps { fromLine toLine } }
    events { __typename ... on LogLines { lines { number text } gaps { fromLine toLine } } ... on LogEnd { totalLines } }
  }
}`;

export const LOG_PAGE = `
query LogPage($job: ID!, $step: Int!, $before: Int, $last: Int!) {
  node(id: $job) { ... on Job { log(step: $step, before: $before, last: $last) { totalLines hasMore lines { number text } gaps { fromLine toLine } } } }
}`;

const asked = (name, input, more = "") => `
mutation Ask($input: ${input}!) {
  ${name}(input: $input) {
    __typename
    ... on Asked { cursor replayed command { id state message } }
    ${more}
    ${ERROR_FIELDS}
  }
}`;

export const RUN_NOW = asked("workflowRunNow", "WorkflowRunNowInput", "... on WorkflowRunNowSuccess { wasDisabled run { externalId } }");
export const SET_ENABLED = asked("workflowSetEnabled", "WorkflowSetEnabledInput");
export const DELETE = asked("workflowDelete", "WorkflowDeleteInput", "... on WorkflowDeleteSuccess { cancelledRuns { id } }");
export const CANCEL = asked("runCancel", "RunCancelInput");
export const RERUN = asked("runRerun", "RunRerunInput", "... on RunRerunSuccess { run { externalId } }");
