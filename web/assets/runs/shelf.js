// Things by id that a stream keeps up to date: a snapshot fills it, events change it.

export class Shelf {
  things = new Map();
  known = false;
  #listeners = new Set();

  /** `listener()` after each frame that changed something. */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  fill(things) {
    this.things = new Map(things.map((thing) => [thing.id, thing]));
    this.known = true;
  }

  set(thing) {
    this.things.set(thing.id, thing);
  }

  delete(id) {
    this.things.delete(id);
  }

  tell() {
    for (const listener of this.#listeners) listener();
  }
}
