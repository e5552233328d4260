// Diagnostics: alerts, figures, and the infrastructure tree with its heartbeats.

import { h, oncePerFrame } from "../../dom.js";
import { pageHead, skeleton } from "../../components/parts.js";
import { icon } from "../../components/icons.js";
import { openFleet } from "../../fleet/open.js";
import { Backends } from "../../clusters/backends.js";
import { Alerts } from "./alerts.js";
import { Metrics } from "./metrics.js";
import { Summary } from "./summary.js";
import { Tree } from "./tree.js";

const TICK_MS = 1000;

export function open(app, { address }) {
  const fleet = app.fleet;
  const tree = new Tree({ fleet, clock: app.clock, orgPath: app.orgPath });
  const alerts = new Alerts({ fleet, clock: app.clock, permission: app.can("alertAcknowledge"), reveal: (id) => tree.reveal(id) });
  const summary = new Summary();
  const metrics = new Metrics();
  const backends = new Backends(app);
  const waiting = skeleton(8);
  const live = h("div", { hidden: true }, toolbar(app, tree, address), tree.element);

  const drawSummary = oncePerFrame(() => summary.draw(fleet));
  const change = (changed) => {
    if (!fleet.known) return;
    if (live.hidden) alerts.draw();
    waiting.remove();
    live.hidden = false;
    tree.change(changed);
    alerts.change(changed.ids);
    drawSummary();
  };
  const everything = () => {
    change({ ids: new Set(), moved: true });
    if (fleet.known) alerts.draw();
  };
  const stops = [fleet.onChange(change), openFleet(app, (errors) => waiting.replaceWith(app.problem(errors))), app.link.open(metrics.stream(app.session.org.slug)), backends.open()];
  // A frame without news moves the ages, too; without frames, the clock stands still and so do they.
  const timer = setInterval(() => {
    tree.tick();
    alerts.tick();
  }, TICK_MS);
  everything();

  return {
    title: "Diagnostics",
    element: h("div", { class: "page diagnostics" }, pageHead("Diagnostics"), alerts.element, metrics.element, summary.element, waiting, live, backends.element),
    refresh: everything,
    close() {
      clearInterval(timer);
      for (const stop of stops) stop();
      tree.close();
    },
  };
}

function toolbar(app, tree, address) {
  const search = h("input", {
    type: "search",
    class: "search",
    placeholder: "Name, host, label or version",
    "aria-label": "Filter the tree",
    value: address.searchParams.get("q") ?? "",
    data: { shortcut: "/" },
  });
  const troubled = h("input", { type: "checkbox" });
  troubled.checked = address.searchParams.has("trouble");
  const apply = () => {
    tree.filter = { text: search.value, troubled: troubled.checked };
    app.remember({ q: search.value, trouble: troubled.checked ? "1" : "" });
    tree.change({ ids: new Set(), moved: true });
  };
  search.addEventListener("input", apply);
  troubled.addEventListener("change", apply);
  tree.filter = { text: search.value, troubled: troubled.checked };
  return h(
    "div",
    { class: "toolbar" },
    h("h2", null, "Infrastructure"),
    h("label", { class: "search-field" }, icon("search"), search),
    h("label", { class: "check" }, troubled, "Needs attention"),
    h("span", { class: "grow" }),
    h("button", { class: "button small", type: "button", onclick: () => tree.foldAgents(true) }, "Fold agents"),
    h("button", { class: "button small", type: "button", onclick: () => tree.foldAgents(false) }, "Unfold all"),
  );
}
