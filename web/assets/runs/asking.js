// Asking an orchestrator for something: the click, the command on its way, and what came of it.

import { h } from "../dom.js";
import { messageOf, notify } from "../components/dialog.js";
import { tip } from "../components/tooltip.js";
import { idempotencyKey, mutate, request } from "../graphql/http.js";

const COMMAND = `query Command($id: ID!) { node(id: $id) { ... on Command { state message } } }`;
const LOOK_MS = 700;
const MOST_LOOKS = 90;
const ENDS = { FAILED: "could not be done", EXPIRED: "was not answered in time" };

/** Ask; the payload as soon as the server has taken the wish. Raises RequestFailed. */
export function askFor(document, input) {
  return mutate(document, { input: { ...input, idempotencyKey: idempotencyKey() } });
}

/**
 * Watch a command to its end and say when it goes wrong; true when it was done. There is no stream of commands for
 * people, so this asks now and then, for the short time that a command lives.
 */
export async function follow(command, what) {
  for (let look = 0, now = command; look < MOST_LOOKS; look++) {
    if (now.state === "SUCCEEDED") return true;
    if (ENDS[now.state]) {
      notify(`${what} ${ENDS[now.state]}${now.message ? `: ${now.message}` : "."}`, "bad");
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    try {
      now = (await request(COMMAND, { id: command.id })).node ?? now;
    } catch {
      // The server is away for a moment; the banner says so, and the command lives on.
    }
  }
  return false;
}

/** A button for something that the viewer may be forbidden to do: then it is there, disabled, and says why. */
export function permitted(permission, button) {
  if (permission.allowed) return button;
  button.disabled = true;
  return tip(h("span", { class: "wrap-disabled" }, button), permission.reason);
}

/** Run an action whose failure is told at the page's foot. */
export async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    notify(messageOf(error), "bad");
    return null;
  }
}
