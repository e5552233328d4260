// Orgs: the menu that switches between those that this browser is signed in to, and what stands where another one is.

import { h, name } from "../dom.js";
import { ask, messageOf, notify } from "../components/dialog.js";
import { openMenu } from "../components/popover.js";
import { signIn, signedIn, switchOrg } from "../session.js";

export async function openOrgMenu(app, button) {
  const { org } = app.session;
  const others = (await signedIn().catch(() => [])).filter((slug) => slug !== org.slug);
  openMenu(button, "Org", [
    { label: name(org.name), note: org.slug, checked: true, run() {} },
    ...others.map((slug) => ({ label: name(slug), checked: false, run: () => go(app, slug) })),
    { label: "Another org…", note: "With a token of that org", run: () => askForToken(app) },
  ]);
}

async function go(app, slug) {
  try {
    await app.enter(() => switchOrg(slug));
  } catch (error) {
    notify(messageOf(error), "bad");
  }
}

/** Sign in to one more org, and stay signed in to this one. */
function askForToken(app) {
  const token = h("input", { id: "org-token", type: "password", required: true, autocomplete: "off", spellcheck: "false", placeholder: "kgq_…" });
  ask({
    title: "Another org",
    confirm: "Sign in",
    body: [h("label", { for: "org-token" }, "A token of that org"), token, h("small", { class: "quiet" }, "You stay signed in to the present one, and can go back by this menu.")],
    act: () => app.enter(() => signIn(token.value.trim())),
  });
}

/** What a tab shows when another one switched to the org of this slug. */
export function switched(app, slug) {
  const { org } = app.session;
  const back = h("button", { class: "button", type: "button", onclick: () => go(app, org.slug) }, "Back to ", h("bdi", null, org.name));
  return {
    title: "Another org",
    element: h(
      "div",
      { class: "page" },
      h("h1", { tabindex: "-1" }, "This browser went to another org"),
      h("p", null, "In another tab you switched to ", h("bdi", { class: "name" }, slug), ". A browser looks at one org at a time."),
      h("p", { class: "row-of-buttons" }, h("a", { class: "button primary", href: "/", target: "_self" }, "Go there, too"), back),
    ),
  };
}

/** What an address of another org shows. */
export function otherOrg(app, slug) {
  const leave = h("button", { class: "button", type: "button", onclick: () => app.leave() }, "Sign in with another token");
  const there = h("button", { class: "button", type: "button", hidden: true, onclick: () => go(app, slug) }, "Switch to it");
  signedIn().then((orgs) => (there.hidden = !orgs.includes(slug)), () => {});
  return {
    title: "Another org",
    element: h(
      "div",
      { class: "page" },
      h("h1", { tabindex: "-1" }, "This token sees another org"),
      h("p", null, "The address is one of the org ", h("bdi", { class: "name" }, slug), ", and a token sees only its own."),
      h("p", { class: "row-of-buttons" }, h("a", { class: "button primary", href: `${app.orgPath}/workflows` }, `Go to ${app.session.org.name}`), there, leave),
    ),
  };
}
