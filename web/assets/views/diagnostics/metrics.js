// How execution went in the last 24 hours: four figures, each with its hours as a small plot.

import { h, put, setText } from "../../dom.js";
import { barPlot, linePlot } from "../../components/plot.js";
import { meter, setMeter } from "../../components/parts.js";
import { longDuration } from "../../clock.js";
import { plural } from "../../fleet/words.js";
import { Stream } from "../../graphql/stream.js";

const METRICS = `
subscription Metrics($org: String!) {
  executionMetrics(org: $org) {
    kind cursor previousCursor at reason
    snapshot { ...metrics }
    events { metrics { ...metrics } }
  }
}
fragment metrics on ExecutionMetrics {
  totalRuns succeededRuns failedRuns cancelledRuns successRate averageDurationMs queuedJobs runningJobs windowHours
  series { at runs succeeded failed cancelled averageDurationMs }
}`;

export class Metrics {
  #cards = { runs: card("Runs in 24 h"), success: card("Success rate"), duration: card("Average duration"), jobs: card("Active jobs") };
  element = h("div", { class: "cards metrics" }, Object.values(this.#cards).map(({ element }) => element));

  /** The stream that feeds the cards. */
  stream(org) {
    return new Stream({ document: METRICS, variables: { org }, take: (frame) => this.#take(frame), resume: () => ({}) });
  }

  #take(frame) {
    const metrics = frame.snapshot ?? frame.events.at(-1)?.metrics;
    if (metrics) this.#draw(metrics);
  }

  #draw({ totalRuns, succeededRuns, failedRuns, cancelledRuns, successRate, averageDurationMs, queuedJobs, runningJobs, series }) {
    const { runs, success, duration, jobs } = this.#cards;
    const hours = plural(series.length, "hour");
    runs.set(totalRuns, `${failedRuns} failed, ${cancelledRuns} cancelled`, barPlot(series.map(outcomes), `Runs of the last ${hours}: ${totalRuns}, of them ${failedRuns} failed`));
    const rate = successRate === null ? "–" : `${Math.round(successRate * 1000) / 10} %`;
    success.set(rate, successRate === null ? "nothing has ended" : `${succeededRuns} of ${succeededRuns + failedRuns}`, linePlot(series.map(rateOf), `Success rate by hour, ${rate} in all`, 1));
    const average = averageDurationMs === null ? "–" : longDuration(averageDurationMs);
    duration.set(average, averageDurationMs === null ? "nothing has ended" : "per finished run", linePlot(series.map((point) => point.averageDurationMs), `Average duration by hour, ${average} in all`));
    const bar = meter();
    setMeter(bar, runningJobs, runningJobs + queuedJobs);
    jobs.set(runningJobs + queuedJobs, `${runningJobs} running, ${queuedJobs} queued`, bar.element);
  }
}

function outcomes({ runs, succeeded, failed, cancelled }) {
  return [
    [failed, "bad"],
    [cancelled, "off"],
    [succeeded, "good"],
    [Math.max(0, runs - succeeded - failed - cancelled), "info"],
  ];
}

function rateOf({ succeeded, failed }) {
  return succeeded + failed > 0 ? succeeded / (succeeded + failed) : null;
}

function card(title) {
  const figure = h("span", { class: "figure" }, "–");
  const note = h("span", { class: "note" });
  const plot = h("div", { class: "plot-frame" });
  return {
    element: h("section", { class: "card", "aria-label": title }, h("h2", null, title), h("p", null, figure, " ", note), plot),
    set(value, text, picture) {
      setText(figure, value);
      setText(note, text);
      put(plot, picture);
    },
  };
}
