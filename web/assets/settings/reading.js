// What has no stream is read again: now and then, when somebody comes back to the page, and after every act of his own.

import { h, put, setText } from "../dom.js";
import { timeOfDay } from "../clock.js";
import { messageOf } from "../components/dialog.js";
import { RequestFailed } from "../graphql/http.js";

const EVERY_MS = 30_000;

export class Reading {
  #read;
  #clock;
  #readAt = null;
  #turn = 0;
  #text = h("span", { role: "status" });
  element = h("p", { class: "quiet reported" }, this.#text, " ", h("button", { class: "link", type: "button", onclick: () => this.again() }, "Read it again"));

  /** `read()` asks the server; the function that it returns shows the answer. */
  constructor(clock, read) {
    this.#clock = clock;
    this.#read = read;
  }

  /** Start; the returned function stops. */
  open() {
    const looking = () => document.hidden || this.again();
    const timer = setInterval(looking, EVERY_MS);
    document.addEventListener("visibilitychange", looking);
    this.again();
    return () => {
      this.#turn += 1;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", looking);
    };
  }

  async again() {
    const turn = ++this.#turn;
    try {
      const show = await this.#read();
      if (turn !== this.#turn) return; // a newer question is under way, or the page is gone
      show();
      this.#readAt = this.#clock.now();
      this.write();
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      if (turn === this.#turn) setText(this.#text, `${this.#since()} ${messageOf(error)}`.trim());
    }
  }

  write() {
    put(this.#text, this.#since());
  }

  #since() {
    return this.#readAt === null ? "" : `As of ${timeOfDay(this.#readAt)}.`;
  }
}
