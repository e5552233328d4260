// What this browser remembers of its user: theme, time zone, view options. Nothing secret.

const PREFIX = "kici.";
const listeners = new Set();

/** The remembered value, or `fallback`. */
export function preference(key, fallback) {
  try {
    return localStorage.getItem(PREFIX + key) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Remember a value and tell everybody; null forgets it. */
export function prefer(key, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch {
    // A browser that stores nothing still obeys for as long as the page is open.
  }
  for (const listener of listeners) listener(key, value);
}

/** Be told of every change, in other tabs too; returns how to stop that. */
export function onPreference(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

addEventListener("storage", (event) => {
  if (!event.key?.startsWith(PREFIX)) return;
  for (const listener of listeners) listener(event.key.slice(PREFIX.length), event.newValue);
});

/** Light, dark, or whatever the system says. */
export function applyTheme(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
