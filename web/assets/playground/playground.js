// The playground: write an operation, run it, watch what comes back, look things up in the schema.

import { h, put, setText } from "../dom.js";
import { prefer, preference } from "../preferences.js";
import { timeOfDay } from "../clock.js";
import { RequestFailed, answerOf } from "../graphql/http.js";
import { icon } from "../components/icons.js";
import { openMenu } from "../components/popover.js";
import { lookControls } from "../components/shell.js";
import { messageOf } from "../components/dialog.js";
import { editor, json } from "./editor.js";
import { EXAMPLES } from "./examples.js";
import { operationsOf, runOnce, runStream } from "./runner.js";
import { INTROSPECTION, schemaBrowser } from "./schema.js";

const MOST_FRAMES = 200;
const MOST_OPEN_FRAMES = 30;

const $ = (id) => document.getElementById(id);
const variables = $("variables");
const result = $("result");

let stop = null;

const nothingYet = () => h("p", { class: "quiet nothing-yet" }, "What comes back is shown here. ", h("kbd", null, "Ctrl"), " ", h("kbd", null, "Enter"), " runs the operation.");

const run = h("button", { class: "button primary small", type: "button", "aria-keyshortcuts": "Control+Enter" });
const choice = h("select", { class: "small", "aria-label": "Operation to run", hidden: true });
const transport = h("select", { class: "small", "aria-label": "Transport of subscriptions" }, h("option", { value: "socket" }, "WebSocket"), h("option", { value: "events" }, "Event stream"));
const token = h("input", { type: "password", class: "small", placeholder: "Another token", "aria-label": "Token to use instead of the session", autocomplete: "off" });
const status = h("span", { class: "quiet", role: "status" }, "");
const clear = h("button", { class: "button small", type: "button", onclick: () => put(result, nothingYet()) }, "Clear");
let org = "default";
const document_ = editor(preference("playground.document", EXAMPLES[0].document(org)), changed);

function changed() {
  prefer("playground.document", document_.field.value);
  const operations = operationsOf(document_.field.value);
  const chosen = choice.value;
  put(choice, operations.map(({ kind, name }) => h("option", { value: name }, `${kind} ${name}`)));
  if (operations.some(({ name }) => name === chosen)) choice.value = chosen;
  choice.hidden = operations.length < 2;
}

function fill(text, values = {}) {
  document_.set(text);
  variables.value = Object.keys(values).length ? JSON.stringify(values, null, 2) : "";
  checkVariables();
  document_.field.focus();
}

function examples(event) {
  openMenu(event.currentTarget, "Examples", EXAMPLES.map(({ title, document: text }) => ({ label: title, run: () => fill(text(org)) })));
}

/** The variables, or undefined when what stands there is no JSON object. */
function checkVariables() {
  prefer("playground.variables", variables.value);
  try {
    const value = variables.value.trim() ? JSON.parse(variables.value) : {};
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new SyntaxError("must be a JSON object");
    setText($("variables-problem"), "");
    return value;
  } catch (error) {
    setText($("variables-problem"), error.message);
    return undefined;
  }
}

function running(stopIt) {
  stop = stopIt;
  put(run, icon(stop ? "stop" : "play"), stop ? "Stop" : "Run");
}

async function toggle() {
  if (stop) return stop();
  const values = checkVariables();
  if (values === undefined) return variables.focus();
  const operations = operationsOf(document_.field.value);
  const operation = operations.find(({ name }) => name === choice.value) ?? operations[0];
  const asked = { query: document_.field.value, variables: values, operationName: operations.length > 1 ? operation.name : undefined, token: token.value.trim() };
  put(result);
  return operation?.kind === "subscription" ? stream(asked) : once(asked);
}

async function once(asked) {
  const abort = new AbortController();
  running(() => abort.abort());
  setText(status, "Running…");
  try {
    const { status: code, ms, body } = await runOnce(asked, abort.signal);
    put(result, json(body));
    setText(status, `HTTP ${code} in ${ms.toFixed(ms < 10 ? 1 : 0)} ms`);
  } catch (error) {
    setText(status, error.name === "AbortError" ? "Stopped." : messageOf(error));
  } finally {
    running(null);
  }
}

function stream(asked) {
  let count = 0;
  setText(status, "Connecting…");
  const stopIt = runStream(asked, transport.value === "socket", {
    next(answer) {
      count += 1;
      setText(status, `${count} ${count === 1 ? "frame" : "frames"}`);
      showFrame(answer, count);
    },
    ended(text, isProblem) {
      setText(status, `${count} ${count === 1 ? "frame" : "frames"}. ${text}`);
      status.classList.toggle("bad", isProblem);
      running(null);
    },
  });
  status.classList.remove("bad");
  running(stopIt);
}

function showFrame(answer, number) {
  const frame = answer.data && Object.values(answer.data)[0];
  const events = frame?.events?.length;
  const title = [`#${number}`, frame?.kind ?? (answer.errors ? "errors" : "answer"), events && `${events} ${events === 1 ? "event" : "events"}`, frame?.at ? timeOfDay(frame.at) : ""];
  const follow = result.scrollHeight - result.scrollTop - result.clientHeight < 40;
  const body = h("details", { class: "frame" }, h("summary", null, title.filter(Boolean).join(" · ")));
  // Most frames are never looked into: their text is made when they are opened.
  body.addEventListener("toggle", () => body.open && body.children.length < 2 && body.append(json(answer)));
  body.open = result.children.length < MOST_OPEN_FRAMES;
  result.append(body);
  while (result.children.length > MOST_FRAMES) result.firstChild.remove();
  if (follow) result.scrollTop = result.scrollHeight;
}

/** The examples are about the viewer's org; the one that stands there, too, unless somebody is about to change it. */
function orgIs(slug) {
  const untouched = document_.field.value === EXAMPLES[0].document(org) && document.activeElement !== document_.field;
  org = slug;
  if (untouched) document_.set(EXAMPLES[0].document(org));
}

async function showSchema() {
  const pane = $("schema");
  put(pane, h("p", { class: "quiet note" }, "Reading the schema…"));
  try {
    const { data, errors, status: code } = await answerOf(INTROSPECTION, {}, { token: token.value.trim() });
    if (!data?.__schema) throw new RequestFailed(errors?.[0]?.message ?? `The server answered with status ${code}.`);
    put(pane, schemaBrowser(data.__schema, fill).element);
    if (data.viewer?.org) orgIs(data.viewer.org.slug);
  } catch (error) {
    const again = h("button", { class: "button small", type: "button", onclick: showSchema }, "Try again");
    put(pane, h("div", { class: "note" }, h("p", { class: "problem" }, messageOf(error)), h("p", null, "Sign in on ", h("a", { href: "/sign-in" }, "the start page"), ", or give a token above."), again));
  }
}

put($("controls"), lookControls());
put($("operation-bar"), run, choice, h("button", { class: "button small", type: "button", "aria-haspopup": "menu", onclick: examples }, "Examples"), h("span", { class: "grow" }), h("form", { class: "token-form", onsubmit: (event) => event.preventDefault() }, token));
put($("result-bar"), status, h("span", { class: "grow" }), transport, clear);
put($("editor"), document_.element);
variables.value = preference("playground.variables", "");
variables.addEventListener("input", checkVariables);
token.addEventListener("change", showSchema);
run.addEventListener("click", toggle);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  toggle();
});
put(result, nothingYet());
running(null);
changed();
showSchema();
