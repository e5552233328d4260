// Small plots, drawn as SVG. They have their figures as text beside them, and a summary for those who can't see them.

import { svg } from "../dom.js";

const WIDTH = 240;
const HEIGHT = 44;

/** Bars of parts on top of each other: `bars` is a list of `[value, tone]` lists. */
export function barPlot(bars, label) {
  const most = Math.max(1, ...bars.map((parts) => parts.reduce((sum, [value]) => sum + value, 0)));
  const step = WIDTH / bars.length;
  const shapes = bars.flatMap((parts, index) => {
    let top = HEIGHT;
    return parts
      .filter(([value]) => value > 0)
      .map(([value, tone]) => {
        const height = Math.max(1.5, (value / most) * HEIGHT);
        top -= height;
        return svg("rect", { x: (index * step + 0.75).toFixed(2), y: top.toFixed(2), width: (step - 1.5).toFixed(2), height: height.toFixed(2), class: `plot-${tone}` });
      });
  });
  return frame(label, shapes);
}

/** A line through the values; null is a hole in it. */
export function linePlot(values, label, most = Math.max(...values.filter((value) => value !== null), 1)) {
  const step = WIDTH / Math.max(1, values.length - 1);
  const shapes = [];
  let path = "";
  values.forEach((value, index) => {
    if (value === null) {
      path = end(path, shapes);
      return;
    }
    const point = `${(index * step).toFixed(2)} ${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(2)}`;
    path += path ? `L${point}` : `M${point}`;
  });
  end(path, shapes);
  return frame(label, shapes);
}

function end(path, shapes) {
  // A single point is a line of no length, which round ends make a dot.
  if (path) shapes.push(path.includes("L") ? svg("path", { d: path, class: "plot-line" }) : svg("path", { d: `${path}h0.01`, class: "plot-line plot-point" }));
  return "";
}

function frame(label, shapes) {
  return svg("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, shapes);
}
