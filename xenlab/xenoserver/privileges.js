function render({ model, el }) {
  const modes = model.get("modes");
  const tabs = modes.map((one, i) =>
    h("button", { role: "tab", onclick: () => { model.set("chosen", i); model.save_changes(); } }, one.name));
  const picture = h("div", { class: "picture" }), words = h("div", { class: "words", "aria-live": "polite" });
  el.append(h("div", { class: "xl xl-privileges" }, h("div", { class: "tabs", role: "tablist" }, ...tabs),
    h("div", { class: "halves" }, picture, words)));
  return follow(model, ["chosen"], () => {
    const i = model.get("chosen"), one = modes[i];
    tabs.forEach((tab, k) => {
      tab.setAttribute("aria-selected", String(k === i));
      tab.classList.toggle("main", k === i);
    });
    picture.innerHTML = one.svg;
    words.replaceChildren(h("h3", {}, one.name), h("p", {}, one.why),
      h("p", {}, h("strong", {}, "The kernel calls Xen by: "), h("code", {}, one.way_in)));
  });
}

export default { render };
