function render({ model, el }) {
  const ways = model.get("ways");
  const lists = ways.map(() => h("ol", {}));
  const root = h("div", { class: "xl xl-ways", tabindex: 0, "aria-label": "One ping in three networks" },
    h("div", { class: "thirds" }, ...ways.map((way, i) => h("div", {}, h("h3", {}, way.title), lists[i]))));
  el.append(root);
  return player(model, root, (moment) => ways.forEach((way, w) =>
    lists[w].replaceChildren(...way.frames.slice(0, moment).map((frame, i) =>
      h("li", { class: i === moment - 1 ? "now" : "" }, h("code", {}, frame.link), " ", frame.words,
        h("span", { class: "soft" }, frame.macs))))));
}

export default { render };
