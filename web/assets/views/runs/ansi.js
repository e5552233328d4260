// What programs write for a terminal: colours are shown, everything else that a terminal would obey is left out.

/* eslint-disable no-control-regex */
const ESCAPES = /\x1b(?:\[([0-9;:]*)([A-Za-z])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g;
const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** The text alone. */
export function plain(text) {
  return text.includes("\x1b") || /[\x00-\x08\x0b-\x1f]/.test(text) ? text.replace(ESCAPES, "") : text;
}

/** The text in parts `{text, style}`, a style being a list of classes or an empty string. */
export function styled(text) {
  if (!text.includes("\x1b")) return [{ text: plain(text), style: "" }];
  const parts = [];
  let style = { colour: "", bold: false };
  let end = 0;
  const push = (part) => part && parts.push({ text: part, style: classes(style) });
  for (const match of text.matchAll(ESCAPES)) {
    push(text.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[2] === "m") style = after(style, match[1]);
  }
  push(text.slice(end));
  return parts;
}

function classes({ colour, bold }) {
  return [colour && `ansi-${colour}`, bold && "ansi-bold"].filter(Boolean).join(" ");
}

function after(style, codes) {
  for (const code of codes.split(/[;:]/).map(Number)) {
    if (code === 0) style = { colour: "", bold: false };
    else if (code === 1) style = { ...style, bold: true };
    else if (code === 22) style = { ...style, bold: false };
    else if (code >= 30 && code <= 37) style = { ...style, colour: COLOURS[code - 30] };
    else if (code >= 90 && code <= 97) style = { ...style, colour: COLOURS[code - 90] };
    else if (code === 39) style = { ...style, colour: "" };
  }
  return style;
}
