// Making elements. Text only ever becomes a text node, so a name like `<img onerror=…>` is shown and never run.

/**
 * An element. `props`: attributes; `class`; `data: {…}`; `onclick` and the like are listeners; null and false are left
 * out. Children that are null, false or true are left out, so that `condition && node` can stand among them.
 */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same in SVG. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && typeof child !== "boolean");
}

/** Replace what a node holds. */
export function put(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

/** Write a text, but touch the page only when it is another one: most heartbeats change little. */
export function setText(node, text) {
  const value = String(text);
  if (node.firstChild?.nodeType === Node.TEXT_NODE && node.childNodes.length === 1) {
    if (node.firstChild.data !== value) node.firstChild.data = value;
  } else if (node.textContent !== value) {
    node.textContent = value;
  }
}

/** Set or remove an attribute, but only when that changes it. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

/** A name that somebody else chose: isolated, so that right-to-left letters don't reorder what stands beside it. */
export function name(text, props) {
  return h("bdi", { ...props, class: `name ${props?.class ?? ""}`.trim() }, text);
}

/** Load a style sheet once; resolves when it counts. */
export function style(href) {
  const there = document.querySelector(`link[href="${href}"]`);
  if (there) return Promise.resolve();
  return new Promise((resolve) => {
    // Without its style a page is still better than no page.
    document.head.append(h("link", { rel: "stylesheet", href, onload: resolve, onerror: resolve }));
  });
}

/** Many changes, one call: on the next frame that the browser paints. */
export function oncePerFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}
