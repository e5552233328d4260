// The web view: finds out who is signed in, opens the connection, and shows the page of the address.

import { Clock } from "./clock.js";
import { h, put } from "./dom.js";
import { onPreference, prefer } from "./preferences.js";
import { route, styled } from "./router.js";
import { currentSession, signOut } from "./session.js";
import { Fleet } from "./fleet/fleet.js";
import { Link } from "./graphql/link.js";
import { Indicator } from "./components/indicator.js";
import { listenToKeys, lookControls, showShell } from "./components/shell.js";
import { emptyState, skeleton } from "./components/parts.js";
import { messageOf } from "./components/dialog.js";

const HOME = "workflows";
const orgPages = () => styled(import("./views/orgs.js"), "lists");
const MOST_RETRY_MS = 8000;

const main = document.querySelector("#main");

class App {
  session = null;
  clock = new Clock();
  fleet = new Fleet();
  link = null;

  #shell = null;
  #page = null;
  #visit = 0;

  get orgPath() {
    return `/orgs/${encodeURIComponent(this.session.org.slug)}`;
  }

  /** Whether the viewer may call a mutation: `{allowed, reason}`. */
  can(action) {
    const { allowed, reason, scopes } = this.session.viewer[action];
    return allowed ? { allowed } : { allowed, reason: `${reason}; it needs one of scope ${scopes.join(" or ")}` };
  }

  async start() {
    document.addEventListener("click", (event) => this.#clicked(event));
    addEventListener("popstate", () => this.show());
    onPreference((key, value) => {
      if (key === "zone") this.#page?.refresh?.();
      if (key === "org" && this.session && value !== this.session.org.slug) this.#elsewhere(value);
    });
    listenToKeys(this);
    await this.#begin();
  }

  /** Go to an address of this page. */
  go(path, { replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](null, "", path);
    return this.show({ moved: true });
  }

  /** Keep the page's filters in its address; empty ones are left out. */
  remember(parameters) {
    const address = new URL(location.href);
    for (const [key, value] of Object.entries(parameters)) {
      if (value) address.searchParams.set(key, value);
      else address.searchParams.delete(key);
    }
    history.replaceState(null, "", address);
  }

  /** Show the page of the present address. */
  async show({ moved = false } = {}) {
    if (!this.session) return undefined;
    if (["/", "/sign-in"].includes(location.pathname)) return this.go(`${this.orgPath}/${HOME}`, { replace: true });
    const visit = ++this.#visit;
    const found = route(location.pathname);
    this.#shell.current(found?.section);
    if (!found) return this.#put(notFound(this.orgPath), moved);
    const { org } = found.params;
    const other = org !== undefined && org !== this.session.org.slug;
    let view;
    try {
      view = await (other ? orgPages() : found.load());
    } catch {
      return this.#put(unloadable(), moved);
    }
    if (visit !== this.#visit) return undefined; // somebody was quicker than the network
    if (other) return this.#put(view.otherOrg(this, org), moved);
    return this.#put(view.open(this, { params: found.params, address: new URL(location.href) }), moved);
  }

  /** What to show instead of something that the server refuses to stream. */
  problem(errors) {
    return emptyState("The server refuses to show this", ...errors.map(({ message }) => message));
  }

  /** Show another org: `exchange()` makes it the session's, which all tabs share. */
  async enter(exchange) {
    const { org } = await exchange();
    this.session = null; // this tab is about to go; the others are told
    prefer("org", org);
    location.assign("/");
  }

  /** End the session. */
  async leave(reason = null) {
    try {
      await signOut();
    } catch {
      // The server is away: the cookie stays, but the page shows nothing more of it.
    }
    this.link?.end();
    if (reason === null) return location.assign("/sign-in"); // forget everything that was shown
    return this.#askToSignIn(reason);
  }

  async #begin() {
    for (let wait = 500; ; wait = Math.min(MOST_RETRY_MS, wait * 2)) {
      try {
        this.session = await currentSession();
        break;
      } catch (error) {
        put(main, h("div", { class: "page" }, emptyState("The server does not answer", messageOf(error), "Trying again by itself…")));
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
    if (!this.session) return this.#askToSignIn();
    this.clock.heard(this.session.server.time);
    this.link = new Link(this.clock);
    this.link.onChange(({ phase, reason }) => phase === "ended" && reason && this.#askToSignIn(reason));
    this.#shell = showShell(this, new Indicator(this.link));
    this.link.connect();
    return this.show();
  }

  /** Another tab switched, and this one's connection would act for an org that it doesn't show. */
  async #elsewhere(slug) {
    const { switched } = await orgPages();
    this.link.end();
    this.#put(switched(this, slug), true);
  }

  async #askToSignIn(reason = "") {
    this.#visit += 1;
    this.session = null;
    put(document.querySelector("#nav"));
    put(document.querySelector("#banner"));
    put(document.querySelector("#controls"), lookControls());
    document.documentElement.classList.remove("is-stale");
    const { signInPage } = await styled(import("./views/sign_in.js"), "lists");
    // A page that is loaded anew holds nothing of the session before.
    this.#put(signInPage(reason, () => location.reload()), true);
  }

  #put(page, moved) {
    this.#page?.close?.();
    this.#page = page;
    document.title = `${page.title} · kici_gql`;
    put(main, page.element);
    main.removeAttribute("aria-busy");
    if (!moved) return;
    scrollTo({ top: 0 });
    (page.focus ?? page.element.querySelector("h1"))?.focus({ preventScroll: true });
  }

  #clicked(event) {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.origin !== location.origin || link.target || !this.session || (!route(link.pathname) && link.pathname !== "/")) return;
    event.preventDefault();
    this.go(link.href);
  }
}

function notFound(orgPath) {
  return {
    title: "Not found",
    element: h("div", { class: "page" }, h("h1", { tabindex: "-1" }, "There is no such page"), h("p", null, h("a", { href: `${orgPath}/${HOME}` }, "Go to the start page"))),
  };
}

function unloadable() {
  const again = h("button", { class: "button primary", type: "button", onclick: () => location.reload() }, "Load it again");
  return { title: "Not loaded", element: h("div", { class: "page" }, emptyState("This page could not be loaded", "The server was away when it was wanted.", again)) };
}

put(main, h("div", { class: "page" }, skeleton(8)));
new App().start();
