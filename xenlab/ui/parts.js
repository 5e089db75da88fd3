// What every widget's page half is built from: elements and icons.

/** Make an element: attributes by name, `on…` as listeners, `html` as markup, then its children (text or elements). */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "html") element.innerHTML = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Drawn, not typed: some fonts lack the media-control characters.
const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  back: "M11 2.5v11L4.5 8z",
  forward: "M5 2.5v11L11.5 8z",
  first: "M12 2.5v11L6 8zM4 3h1.6v10H4z",
  last: "M4 2.5v11L10 8zM10.4 3H12v10h-1.6z",
  right: "M6.3 12.6 2.2 8.5l1.5-1.5 2.6 2.6 6-6 1.5 1.5z",
  wrong: "M3.6 2.4 8 6.8l4.4-4.4 1.2 1.2L9.2 8l4.4 4.4-1.2 1.2L8 9.2l-4.4 4.4-1.2-1.2L6.8 8 2.4 3.6z",
};

/** Return an icon by name, as an SVG that takes the text's colour and that screen readers skip. */
function icon(name) {
  const holder = h("span", {
    html: `<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`,
  });
  return holder.firstElementChild;
}

/** Has the reader asked the system for less motion? */
function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Follow traits: call `update` now and whenever one of them changes; return a function that stops it. */
function follow(model, names, update) {
  for (const name of names) model.on(`change:${name}`, update);
  update();
  return () => names.forEach((name) => model.off(`change:${name}`, update));
}
