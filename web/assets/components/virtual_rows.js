// A long list of rows of known heights, of which only those near the window exist. The page itself scrolls.

/** Rows this near to the window are made at once when somebody scrolls, those further away when there is time. */
const NEAR_PX = 80;
const OVERSCAN_PX = 500;

export class VirtualRows {
  #body;
  #height;
  #make;
  #items = [];
  #tops = [];
  #indexes = new Map();
  #rows = new Map();
  #pinned = null;
  #waiting = false;
  #closed = false;

  /**
   * `body` is the positioned element that holds the rows. `height(item)` is in px; `make(item)` returns
   * `{element, update(item), tick()}`. An item is an object with a `key`.
   */
  constructor(body, { height, make }) {
    this.#body = body;
    this.#height = height;
    this.#make = make;
    this.onscroll = () => {
      this.draw(NEAR_PX);
      this.#soon();
    };
    addEventListener("scroll", this.onscroll, { passive: true });
    this.resized = () => this.show(this.#items);
    addEventListener("resize", this.resized, { passive: true });
  }

  close() {
    this.#closed = true;
    removeEventListener("scroll", this.onscroll);
    removeEventListener("resize", this.resized);
  }

  get items() {
    return this.#items;
  }

  /** Show these items, in this order. */
  show(items) {
    this.#items = items;
    this.#tops = new Array(items.length);
    this.#indexes.clear();
    let top = 0;
    items.forEach((item, index) => {
      this.#indexes.set(item.key, index);
      this.#tops[index] = top;
      top += this.#height(item);
    });
    this.#body.style.setProperty("height", `${top}px`);
    this.draw(OVERSCAN_PX, true);
  }

  /** Make the rows that are to be seen, and as far as `beyond` around; drop those that are far away. `anew`: write all. */
  draw(beyond = OVERSCAN_PX, anew = false) {
    const offset = this.#body.getBoundingClientRect().top;
    const within = (px) => [this.#at(-offset - px), Math.min(this.#at(-offset + innerHeight + px), this.#items.length - 1)];
    const [from, to] = within(OVERSCAN_PX);
    const [first, last] = within(beyond);
    const wanted = [];
    for (let index = from; index <= to; index++) {
      if ((index >= first && index <= last) || this.#rows.has(this.#items[index].key)) wanted.push(index);
    }
    // The row with the focus stays where it is, however far somebody scrolls.
    const pinned = this.#pinned === null ? -1 : this.indexOf(this.#pinned);
    if (pinned >= 0 && pinned < from) wanted.unshift(pinned);
    if (pinned > to) wanted.push(pinned);
    this.#place(wanted, anew);
  }

  #soon() {
    if (this.#waiting) return;
    this.#waiting = true;
    const work = () => {
      this.#waiting = false;
      if (!this.#closed) this.draw();
    };
    if (window.requestIdleCallback) requestIdleCallback(work, { timeout: 300 });
    else setTimeout(work, 50);
  }

  #place(wanted, anew) {
    const keep = new Set(wanted.map((index) => this.#items[index].key));
    for (const [key, row] of this.#rows) {
      if (keep.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    let before = null;
    for (const index of wanted) {
      const item = this.#items[index];
      const known = this.#rows.get(item.key);
      const row = known ?? this.#new(item);
      if (anew || !known) {
        row.update(item);
        row.element.style.setProperty("transform", `translateY(${this.#tops[index]}px)`);
        row.element.setAttribute("aria-rowindex", index + 2); // the head of the table is row 1
      }
      const next = before ? before.nextSibling : this.#body.firstChild;
      if (next !== row.element) this.#body.insertBefore(row.element, next);
      before = row.element;
    }
  }

  #new(item) {
    const row = this.#make(item);
    this.#rows.set(item.key, row);
    return row;
  }

  /** Index of the last item that begins at or above this height. */
  #at(y) {
    let [low, high] = [0, this.#items.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  indexOf(key) {
    return this.#indexes.get(key) ?? -1;
  }

  item(key) {
    return this.#items[this.indexOf(key)] ?? null;
  }

  /** The row of this item, if it exists just now. */
  row(key) {
    return this.#rows.get(key) ?? null;
  }

  rows() {
    return this.#rows.values();
  }

  pin(key) {
    this.#pinned = key;
  }

  /** Scroll so that the item is in the window, below whatever sticks to its top, and return its row. */
  reveal(key, stickyPx = 0) {
    const index = this.indexOf(key);
    if (index < 0) return null;
    const top = this.#body.getBoundingClientRect().top + this.#tops[index];
    const bottom = top + this.#height(this.#items[index]);
    if (top < stickyPx) scrollBy({ top: top - stickyPx - 8 });
    else if (bottom > innerHeight - 16) scrollBy({ top: bottom - innerHeight + 80 });
    this.#pinned = key;
    this.draw();
    return this.row(key);
  }
}
