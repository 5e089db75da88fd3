function render({ model, el }) {
  const forms = model.get("forms"), parts = model.get("parts");
  const tabs = forms.map((one, i) =>
    h("button", { role: "tab", onclick: () => { model.set("chosen", i); model.save_changes(); } }, one.name));
  const picture = h("div", { class: "picture" }), words = h("div", { class: "words", "aria-live": "polite" });
  const legend = h("table", { class: "legend" });
  el.append(h("div", { class: "xl xl-forms" }, h("div", { class: "tabs", role: "tablist" }, ...tabs),
    h("div", { class: "halves" }, h("div", {}, picture, legend), words)));
  return follow(model, ["chosen"], () => {
    const i = model.get("chosen"), one = forms[i];
    tabs.forEach((tab, k) => {
      tab.setAttribute("aria-selected", String(k === i));
      tab.classList.toggle("main", k === i);
    });
    picture.innerHTML = one.svg;
    const used = parts.filter((part) => one.letters.includes(part.letters));
    legend.replaceChildren(...used.map((part) => h("tr", {}, h("th", { scope: "row" }, part.letters),
      h("td", {}, part.english), h("td", { lang: "pt" }, part.portuguese))));
    words.replaceChildren(
      h("h3", {}, one.name, h("span", { class: "soft", lang: "pt" }, ` · ${one.portuguese}`)),
      h("p", {}, one.how),
      h("p", {}, h("strong", {}, "Who virtualizes: "), `${one.virtualizes}.`),
      h("p", {}, h("strong", {}, "What may run in it: "), `${one.guest}.`),
      h("p", {}, h("strong", {}, "Examples: "), `${one.examples}.`),
      h("p", { class: "soft" }, `Chapter ${one.chapter}.`));
  });
}

export default { render };
