// Runs: the newest ones live, older ones by the page, with filters and order in the address.

import { h, name, oncePerFrame, put, setText } from "../../dom.js";
import { age, emptyState, pageHead, skeleton } from "../../components/parts.js";
import { messageOf, notify } from "../../components/dialog.js";
import { request } from "../../graphql/http.js";
import { Stream } from "../../graphql/stream.js";
import { RUNS, RUN_PAGE } from "../../runs/documents.js";
import { Shelf } from "../../runs/shelf.js";
import { RUN_STATUSES, statusMark, statusWord, tookMs, tookText } from "../../runs/words.js";

const TICK_MS = 1000;
const TYPING_MS = 250;
const COLUMNS = ["Status", "Workflow", "Run", "Trigger", "Branch", "Queued", "Duration"];
const ORDERS = {
  "": { title: "Newest first", orderBy: { field: "QUEUED_AT", direction: "DESC" }, compare: (a, b) => queued(b) - queued(a) },
  oldest: { title: "Oldest first", orderBy: { field: "QUEUED_AT", direction: "ASC" }, compare: (a, b) => queued(a) - queued(b) },
  longest: { title: "Longest first", orderBy: { field: "DURATION", direction: "DESC" }, compare: (a, b, clock) => (tookMs(b, clock) ?? -1) - (tookMs(a, clock) ?? -1) },
};
const queued = (run) => Date.parse(run.queuedAt);
const TEXTS = [
  ["workflow", "Workflow", "workflowName"],
  ["repository", "Repository", "repository"],
  ["branch", "Branch", "branch"],
  ["trigger", "Trigger type", "triggerType"],
];

export function open(app, { address }) {
  const org = app.session.org.slug;
  const body = h("tbody");
  const table = h(
    "div",
    { class: "table-frame", hidden: true },
    h("table", { class: "table runs" }, h("caption", { class: "hidden-text" }, "Runs"), h("thead", null, h("tr", null, COLUMNS.map((title) => h("th", { scope: "col" }, title)))), body),
  );
  const other = h("div");
  const older = h("button", { class: "button", type: "button", hidden: true, onclick: () => loadOlder() }, "Older runs");
  let view = null;

  const draw = oncePerFrame(() => {
    if (!view.runs.known) return;
    const order = ORDERS[view.order];
    const runs = [...view.runs.things.values()].sort((a, b) => order.compare(a, b, app.clock) || a.id.localeCompare(b.id));
    const focused = document.activeElement?.closest?.("tr")?.dataset.id;
    view.rows = runs.map((run) => runRow(run, app.clock));
    put(body, view.rows.map(({ element }) => element));
    table.hidden = runs.length === 0;
    put(other, runs.length === 0 && nothing(view.where));
    older.hidden = !view.more;
    if (focused) body.querySelector(`[data-id="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
  });

  const start = (filters) => {
    view?.close();
    const runs = new Shelf();
    const { where, order } = filters;
    view = { runs, where, order, rows: [], more: true, after: null };
    const mine = view;
    put(body);
    table.hidden = true;
    older.hidden = true;
    put(other, skeleton(6));
    const stream = new Stream({
      document: RUNS,
      variables: { org, where },
      take: (frame) => {
        const known = [...runs.things.values()];
        if (frame.snapshot) {
          // A new start of the stream brings the newest only; older ones that were paged in stay.
          runs.fill([...(frame.kind === "SNAPSHOT" ? known : []), ...frame.snapshot.runs]);
          if (frame.snapshot.runs.length < 100) mine.more = false;
        }
        for (const event of frame.events) event.run ? runs.set(event.run) : runs.delete(event.id);
        draw();
      },
      failed: (errors) => put(other, app.problem(errors)),
    });
    view.close = app.link.open(stream);
    // The stream knows the newest; another order wants its own first page.
    if (order) loadOlder();
  };

  const loadOlder = async () => {
    const mine = view;
    older.disabled = true;
    try {
      // The stream's hundred newest have no place in the list's paging: the first page finds it.
      const known = mine.runs.things.size;
      do {
        const { org: found } = await request(RUN_PAGE, { org, where: mine.where, orderBy: ORDERS[mine.order].orderBy, after: mine.after });
        if (mine !== view) return;
        for (const run of found.runs.nodes) mine.runs.things.has(run.id) || mine.runs.set(run);
        mine.after = found.runs.pageInfo.endCursor;
        mine.more = found.runs.pageInfo.hasNextPage;
      } while (mine.more && mine.runs.things.size === known);
      draw();
    } catch (error) {
      notify(messageOf(error), "bad");
    } finally {
      older.disabled = false;
    }
  };

  const filters = filterBar(app, address, start);
  start(filters.read());
  const timer = setInterval(() => view.rows.forEach((row) => row.tick()), TICK_MS);
  return {
    title: "Runs",
    element: h("div", { class: "page" }, pageHead("Runs"), filters.element, table, other, h("p", { class: "row-of-buttons" }, older)),
    refresh: draw,
    close() {
      clearInterval(timer);
      view.close();
    },
  };
}

function runRow(run, clock) {
  const status = statusMark(run.status);
  const since = age(clock, run.queuedAt);
  const took = h("span");
  const tick = () => {
    since.write();
    setText(took, tookText(run, clock));
  };
  tick();
  return {
    tick,
    element: h("tr", { class: "clickable", data: { id: run.id } }, [
      h("td", { class: "fit" }, status),
      h("td", null, name(run.workflowName, { class: "strong" }), h("div", { class: "quiet" }, name(run.commitMessage ?? run.repository ?? ""))),
      h("td", { data: { title: "Run" } }, h("a", { class: "title id", href: `/runs/${encodeURIComponent(run.externalId)}` }, name(shortId(run.externalId)))),
      h("td", { data: { title: "Trigger" } }, run.triggerType ?? "–", run.triggeredBy && h("span", { class: "quiet" }, " by ", name(run.triggeredBy))),
      h("td", { data: { title: "Branch" }, "data-empty": !run.branch && !run.commitSha }, run.branch ? name(run.branch) : "–", run.commitSha && [" ", h("code", { class: "quiet" }, run.commitSha.slice(0, 8))]),
      h("td", { class: "fit", data: { title: "Queued" } }, since.element),
      h("td", { class: "fit", data: { title: "Duration" } }, took),
    ]),
  };
}

/** A UUID is long, and its start says enough in a list. */
function shortId(id) {
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? id.slice(0, 8) : id;
}

function nothing(where) {
  if (Object.keys(where).length) return emptyState("No run fits the filters", "Clear them to see all runs.");
  return emptyState("Nothing has run yet", "A run appears here as soon as something triggers a workflow. “Run now” on the Workflows page does.");
}

function filterBar(app, address, changed) {
  const given = (key) => address.searchParams.get(key) ?? "";
  const status = h("select", { "aria-label": "Status" }, h("option", { value: "" }, "Any status"), RUN_STATUSES.map((value) => h("option", { value }, statusWord(value))));
  status.value = RUN_STATUSES.includes(given("status")) ? given("status") : "";
  const order = h("select", { "aria-label": "Order" }, Object.entries(ORDERS).map(([value, { title }]) => h("option", { value }, title)));
  order.value = given("order") in ORDERS ? given("order") : "";
  const texts = TEXTS.map(([key, title, field], index) => ({
    key,
    field,
    input: h("input", { type: "search", placeholder: title, "aria-label": `Filter by ${title.toLowerCase()}`, value: given(key), data: index === 0 ? { shortcut: "/" } : {} }),
  }));
  const read = () => {
    const where = status.value ? { status: [status.value] } : {};
    for (const { field, input } of texts) if (input.value.trim()) where[field] = field === "triggerType" ? { eq: input.value.trim() } : { contains: input.value.trim() };
    return { where, order: order.value };
  };
  let timer = null;
  const apply = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      app.remember({ status: status.value, order: order.value, ...Object.fromEntries(texts.map(({ key, input }) => [key, input.value.trim()])) });
      changed(read());
    }, TYPING_MS);
  };
  for (const field of [status, order, ...texts.map(({ input }) => input)]) field.addEventListener("input", apply);
  return { read, element: h("div", { class: "toolbar filters" }, status, texts.map(({ input }) => input), order) };
}

