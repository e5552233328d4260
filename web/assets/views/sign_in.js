// Signing in with a token.

import { h, put } from "../dom.js";
import { copyable } from "../components/copy.js";
import { messageOf } from "../components/dialog.js";
import { signIn } from "../session.js";

/** `reason`: why the user has to sign in (again), or nothing; `done()`: the session is there. */
export function signInPage(reason, done) {
  const problem = h("p", { class: "problem", role: "alert", id: "sign-in-problem" });
  const token = h("input", {
    type: "password",
    id: "token",
    name: "token",
    autocomplete: "current-password",
    spellcheck: "false",
    required: true,
    placeholder: "kgq_…",
    "aria-describedby": "sign-in-problem",
  });
  const button = h("button", { class: "button primary wide", type: "submit" }, "Sign in");
  const form = h(
    "form",
    { class: "sign-in card" },
    h("h1", { tabindex: "-1" }, "Sign in"),
    reason && h("p", { class: "reason" }, reason),
    // Password managers want a name beside the secret.
    h("input", { type: "text", name: "username", autocomplete: "username", value: "kici_gql", class: "hidden-text", tabindex: "-1", "aria-hidden": "true" }),
    h("label", { for: "token" }, "Token"),
    token,
    problem,
    button,
    h("p", { class: "quiet" }, "A token is printed once at the server’s first start. More of them:"),
    copyable("kici-gql token create me --scope viewer"),
    h("p", { class: "quiet" }, "It is kept in a cookie that no script can read, for 30 days."),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    put(problem);
    try {
      await signIn(token.value.trim());
      token.value = "";
      await done();
    } catch (error) {
      put(problem, messageOf(error));
      token.focus();
    } finally {
      button.disabled = false;
    }
  });
  return { title: "Sign in", element: h("div", { class: "page narrow" }, form), focus: token };
}
