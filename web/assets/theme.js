// Runs before the first paint, so that nobody in a dark room is shown a white page. Not a module: those run later.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("kici.theme");
  } catch {
    // Storage is forbidden here: the system's own theme it is.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
