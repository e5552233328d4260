// One subscription that survives its connections: it resumes behind the last frame it took in, and proves by
// `previousCursor` that no frame is missing.

export class Stream {
  /** When the last frame came in, by `performance.now()`; null before the first. */
  heardAt = null;
  /** Errors that end the stream for good, as the server sent them; null while it is well. */
  problem = null;

  #resume;
  #cursor = null;

  /**
   * `document` has one root field. `resume(frame)` gives the variables that go on behind a frame; by default `after`.
   * `take(frame)` takes it in; `failed(errors)` is told when the stream ends for good.
   */
  constructor({ document, variables = {}, take, failed = () => {}, resume = (frame) => ({ after: frame.cursor }) }) {
    this.document = document;
    this.variables = variables;
    this.failed = failed;
    this.take = take;
    this.#resume = resume;
    this.position = {};
  }

  get payload() {
    return { query: this.document, variables: { ...this.variables, ...this.position } };
  }

  /** Take in one frame. False when one before it is missing: then the stream has to start over. */
  receive(frame) {
    this.heardAt = performance.now();
    const goesOn = frame.kind === "EVENTS" || frame.kind === "BOOKMARK";
    if (goesOn && this.#cursor !== null && frame.previousCursor !== this.#cursor) {
      this.startOver();
      return false;
    }
    this.take(frame);
    // Only now: a frame that could not be taken in is asked for again.
    this.#cursor = frame.cursor;
    this.position = this.#resume(frame);
    return true;
  }

  /** Forget the position: the next subscription begins with a snapshot. */
  startOver() {
    this.#cursor = null;
    this.position = {};
  }
}
