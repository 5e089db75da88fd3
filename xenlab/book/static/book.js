// What every page shares: where widgets leave their modules, the theme, and boxes that scroll by key.
const book = { modules: {} };

{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* a choice then lasts as long as the page */ }
  const isDark = () => (chosen ? chosen === "dark" : system.matches);

  /** Dress the page; the widgets look for JupyterLab's attribute. */
  function dress() {
    root.dataset.theme = isDark() ? "dark" : "light";
    root.dataset.jpThemeLight = String(!isDark());
    const button = document.querySelector("#theme");
    if (button) button.textContent = isDark() ? "Light page" : "Dark page";
  }
  dress();
  system.addEventListener("change", dress);

  const BOXES = ".scrolls, pre.printed, :is(.prose, .html, .source, .still) pre, .widget :not(.xl):has(> svg:not(.icon))";
  /** What scrolls sideways must be reachable by key, and what does not should not be. */
  function reachable() {
    for (const box of document.querySelectorAll(BOXES)) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    dress();
    document.querySelector("#theme").addEventListener("click", () => {
      chosen = isDark() ? "light" : "dark";
      try { localStorage.setItem("theme", chosen); } catch { /* see above */ }
      dress();
    });
    reachable();
    addEventListener("resize", reachable);
    document.querySelector("details.contents").open = matchMedia("(min-width: 60rem)").matches;
  });
}
