function render({ model, el }) {
  const slider = (trait, label, min, max, step, words) => {
    const input = h("input", { type: "range", min, max, step, "aria-label": label });
    const shown = h("output");
    input.addEventListener("input", () => { model.set(trait, Number(input.value)); model.save_changes(); });
    const update = () => { input.value = model.get(trait); shown.textContent = words(model.get(trait)); };
    return [h("label", { class: "slide" }, h("span", {}, label), input, shown), update];
  };
  const sliders = [
    slider("elasticity", "A full server asks more, by", 0, 4, 0.25, (value) => `${Math.round(100 * value)} %`),
    slider("advert_every", "Servers advertise every", 0.25, 12, 0.25, (value) => `${value} h`),
    slider("clients", "Clients that come", 50, 500, 50, (value) => String(value)),
  ];
  const rows = h("tbody"), words = h("p", { role: "status" });
  el.append(h("div", { class: "xl xl-market" }, h("div", { class: "slides" }, ...sliders.map(([label]) => label)),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "server"), h("th", {}, "how full it was, on average"), h("th"), h("th", { class: "number" }, "earned, dollars"))), rows),
    words));
  return follow(model, ["elasticity", "advert_every", "clients", "result"], () => {
    sliders.forEach(([, update]) => update());
    const { servers, words: sums } = model.get("result");
    rows.replaceChildren(...servers.map((one) => h("tr", {}, h("td", {}, one.name),
      h("td", { class: "bar" }, h("div", { style: `width: ${one.load}%` })), h("td", { class: "number" }, `${one.load} %`),
      h("td", { class: "number" }, String(one.earned)))));
    words.innerHTML = sums;
  });
}

export default { render };
