// Asking an orchestrator for something: the click, the command on its way, and what came of it.

import { h } from "../dom.js";
import { messageOf, notify } from "../components/dialog.js";
import { tip } from "../components/tooltip.js";
import { idempotencyKey, mutate } from "../graphql/http.js";
import { Stream } from "../graphql/stream.js";

const COMMAND = `
subscription Command($org: String!, $after: Cursor!) {
  commands(org: $org, after: $after, where: { state: [PENDING, DELIVERED, SUCCEEDED, FAILED, EXPIRED] }) {
    kind cursor previousCursor at
    snapshot { commands { ...command } }
    events { command { ...command } }
  }
}
fragment command on Command { id state message result }`;
const ENDS = {
  FAILED: "could not be done",
  EXPIRED: "was not answered in time",
  LOST: "was asked for, but what came of it is not known",
};

/** Ask; the payload as soon as the server has taken the wish. Raises RequestFailed. */
export function askFor(document, input) {
  return mutate(document, { input: { ...input, idempotencyKey: idempotencyKey() } });
}

/** Follow what was asked to its end; the command when it was done, else null, and the page says what went wrong. */
export async function follow(app, asked, what) {
  const command = await endOf(app, asked);
  if (command.state === "SUCCEEDED") return command;
  notify(`${what} ${ENDS[command.state]}${command.message ? `: ${command.message}` : "."}`, "bad");
  return null;
}

/** The stream goes on from where the mutation got to, so nothing can happen to its command unseen. */
function endOf(app, { command, cursor }) {
  return new Promise((resolve) => {
    if (isOver(command)) return resolve(command);
    const end = (ended) => {
      close();
      resolve(ended);
    };
    const stream = new Stream({
      document: COMMAND,
      variables: { org: app.session.org.slug, after: cursor },
      take({ snapshot, events }) {
        const told = snapshot?.commands ?? events.map((event) => event.command);
        const now = told.findLast(({ id }) => id === command.id);
        if (now ? isOver(now) : snapshot) end(now ?? { state: "LOST" });
      },
      failed: ([error]) => end({ state: "LOST", message: error?.message }),
    });
    stream.heardAt = performance.now(); // the mutation that it goes on from
    const close = app.link.open(stream);
  });
}

function isOver({ state }) {
  return state !== "PENDING" && state !== "DELIVERED";
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
