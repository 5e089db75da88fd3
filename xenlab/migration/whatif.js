function render({ model, el }) {
  const controls = h("div", { class: "knobs" });
  const values = () => ({ ...model.get("values") });
  const changed = (name, value) => { model.set("values", { ...values(), [name]: value }); model.save_changes(); };
  const shown = {};

  for (const knob of model.get("knobs")) {
    if (knob.options.length) {
      const select = h("select", { "aria-label": knob.label, onchange: () => changed(knob.name, select.value) },
        ...knob.options.map((option) => h("option", { value: option }, option)));
      shown[knob.name] = (value) => { select.value = value; };
      controls.append(h("label", {}, h("span", {}, knob.label), select));
    } else {
      const out = h("output", {});
      const range = h("input", {
        type: "range", min: 0, max: knob.steps.length - 1, "aria-label": knob.label,
        oninput: () => changed(knob.name, knob.steps[Number(range.value)]),
      });
      shown[knob.name] = (value) => {
        range.value = knob.steps.indexOf(value);
        out.textContent = `${value.toLocaleString("en-GB")} ${knob.unit}`;
        range.setAttribute("aria-valuetext", out.textContent);
      };
      controls.append(h("label", {}, h("span", {}, knob.label, " ", out), range));
    }
  }
  const picture = h("div", { class: "stage" });
  const caption = h("p", { class: "xl-caption", role: "status" });
  el.append(h("div", { class: "xl xl-whatif" }, h("h3", {}, model.get("title")), controls, picture, caption));
  const stopA = follow(model, ["values"], () => {
    for (const [name, value] of Object.entries(values())) shown[name](value);
  });
  const stopB = follow(model, ["drawing", "told"], () => {
    picture.innerHTML = model.get("drawing");
    caption.innerHTML = model.get("told");
  });
  return () => { stopA(); stopB(); };
}

export default { render };
